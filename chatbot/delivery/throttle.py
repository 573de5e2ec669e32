"""The throttle: when may how many messages leave on a number, and to whom, over all workers.

It books send times in bulk instead of counting what was sent: one round trip books a slice of dozens,
and the worker sends them evenly spaced. Replies have a share of their own and go before campaigns. A
second round trip asks, for a whole slice, who may be written to: one person gets 45 messages in a burst
and then one in 6 seconds, and the portfolio a number of people a day (whatsapp_cloud_api.md section 6).

What is decided is in the scripts beside this module; `local_pace` decides where there is no Redis.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import redis
from redis.exceptions import RedisError

from chatbot.core.redis import key, ttl
from chatbot.delivery.local_throttle import BUCKET_SIZE, LocalThrottle, Reservation

PIPELINE_BATCH = 1000
# Campaigns write only to whom the whole bucket is free: bursts are for replies.
CAMPAIGN_RESERVE = BUCKET_SIZE - 1

_LUA = Path(__file__).parent / "lua"
_SCRIPTS = {name: (_LUA / f"{name}.lua").read_text() for name in ("reserve", "slow_down", "quota")}


@dataclass(frozen=True, slots=True)
class ThrottleLimits:
    """The number that is paced. `portfolio` shares `daily_limit` (people in 24 hours; None: no
    limit); `workers` is by how many processes the pace is shared when Redis is away."""

    channel_id: int
    per_second: float
    portfolio: str = ""
    daily_limit: int | None = None
    workers: int = 1


class QuotaRequest(msgspec.Struct, frozen=True):
    """A person and how many messages are for them. `quota_contact_id`: who it is among the day's people,
    None where Meta doesn't count them, since their service window is open."""

    to: str
    count: int = 1
    quota_contact_id: int | None = None


class QuotaGrant(msgspec.Struct, frozen=True):
    """`count` messages may go now, the next one in `wait_s` seconds."""

    count: int
    wait_s: float


# People that were written to in the last 24 hours, and when (Unix seconds).
RecentContacts = Iterable[tuple[int, float]]


class Throttle:
    """`load_recent_contacts` counts the day's people in SQL; it is asked before the first
    reservation under a daily limit.
    `clock` replaces Redis's own, in seconds."""

    def __init__(
        self,
        client: redis.Redis,
        limits: ThrottleLimits,
        *,
        load_recent_contacts: Callable[[], RecentContacts] = tuple,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._client = client
        self._limits = limits
        self._load_recent_contacts = load_recent_contacts
        self._clock = clock
        self._scripts = {name: client.register_script(text) for name, text in _SCRIPTS.items()}
        self._local = LocalThrottle(limits.per_second / max(1, limits.workers), clock)
        self._local_quota: int | None = None
        self._rate_key = key("throttle", limits.channel_id)
        self._quota_key = key("dailyrecipients", limits.portfolio)
        self._seeded_key = key("dailyrecipients", limits.portfolio, "counted")

    def reserve(self, wanted: int, *, is_reply: bool = False) -> Reservation:
        """Book at most `wanted` sends; one round trip."""
        limit = self._limits.daily_limit or 0
        try:
            reservation = self._reserve(wanted, is_reply, limit)
            if reservation.count < 0:
                self._seed_daily_quota()
                reservation = self._reserve(wanted, is_reply, limit)
        except (RedisError, ValueError, TypeError):
            return self._reserve_locally(wanted, is_reply)
        self._local_quota = None
        # Should Redis go away now, our own pace goes on behind what it has granted.
        self._local.start_after(reservation)
        return reservation

    def _reserve(self, wanted: int, is_reply: bool, limit: int) -> Reservation:
        count, wait, gap = self._run(
            "reserve",
            [self._rate_key, self._quota_key, self._seeded_key],
            self._limits.per_second,
            wanted,
            int(is_reply),
            limit,
            ttl("throttle"),
        )
        return Reservation(int(count), float(wait), float(gap))

    def slow_down(self) -> None:
        """The provider says that we are too fast: half the pace, from which it creeps up again."""
        try:
            self._run("slow_down", [self._rate_key], self._limits.per_second, ttl("throttle"))
        except RedisError:
            self._local.slow_down()

    def grant_quota(
        self, requests: Sequence[QuotaRequest], *, is_reply: bool = False
    ) -> list[QuotaGrant]:
        """How many of each person's messages may go now; one round trip for all."""
        reserve = 0 if is_reply else CAMPAIGN_RESERVE
        keys = [key("burst", self._limits.channel_id, request.to) for request in requests]
        people: list[int | str] = []
        for request in requests:
            people += [
                "" if request.quota_contact_id is None else request.quota_contact_id,
                request.count,
            ]
        limit = self._limits.daily_limit or 0
        try:
            refused = self._run(
                "quota", [self._quota_key, *keys], limit, ttl("dailyrecipients"), reserve, *people
            )
        except RedisError:
            refused = []
        grants = [QuotaGrant(request.count, 0.0) for request in requests]
        for place, count, wait in refused:
            grants[place] = QuotaGrant(int(count), float(wait))
        return grants

    def _run(self, name: str, keys: list[str], *args: int | float | str) -> Any:
        now = "" if self._clock is None else f"{self._clock():.6f}"
        return self._scripts[name](keys=keys, args=[now, *args])

    def _seed_daily_quota(self) -> None:
        """Tell Redis, which has forgotten or never knew it, who was written to today."""
        scores = {str(person): at for person, at in self._load_recent_contacts()}
        members = list(scores)
        with self._client.pipeline(transaction=False) as pipe:
            for start in range(0, len(members), PIPELINE_BATCH):
                batch = {m: scores[m] for m in members[start : start + PIPELINE_BATCH]}
                pipe.zadd(self._quota_key, batch, gt=True)
            pipe.expire(self._quota_key, ttl("dailyrecipients"))
            pipe.set(self._seeded_key, "1", ex=ttl("dailyrecipients"))
            pipe.execute()

    def _reserve_locally(self, wanted: int, is_reply: bool) -> Reservation:
        """On this process's part of the pace, and of what SQL says is left of the day's people."""
        if self._limits.daily_limit and not is_reply:
            if self._local_quota is None:
                left = self._limits.daily_limit - sum(1 for _ in self._load_recent_contacts())
                self._local_quota = max(0, left) // max(1, self._limits.workers)
            wanted = min(wanted, self._local_quota)
            if wanted == 0:
                return Reservation(0, 60.0, 0.0)
        reservation = self._local.reserve(wanted, is_reply=is_reply)
        if self._local_quota is not None and not is_reply:
            self._local_quota -= reservation.count
        return reservation
