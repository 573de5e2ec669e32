"""Throttle: how many messages may leave on a number, when, and to whom, over all workers.

It reserves send times in advance instead of counting what was sent: one round trip reserves a batch of
dozens, and the worker sends them evenly spaced. Replies have a share of their own and pass campaigns. A
second round trip grants quota to a whole batch: one person gets 45 messages in a burst and then one in
6 seconds (Meta, Cloud API, pair rate limit), and the portfolio reaches a number of people a day
(Meta, messaging limits).

The scripts in `lua/` decide; `LocalThrottle` decides while Redis is away.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import redis
from redis.exceptions import RedisError

from chatbot.core.redis import key, ttl

BUCKET_SIZE = 45  # messages to one person in a burst
# Campaigns write only to people whose whole bucket is free: bursts are for replies.
CAMPAIGN_RESERVE = BUCKET_SIZE - 1
CAMPAIGN_SHARE = 0.9
RECOVERY_PER_S = 0.01
# Campaigns reserve at most this far ahead, so that a reply or a slower rate takes effect soon.
MAX_AHEAD_S = 1.0
PIPELINE_BATCH = 1000

_LUA = Path(__file__).parent / "lua"
_SCRIPTS = {name: (_LUA / f"{name}.lua").read_text() for name in ("reserve", "slow_down", "quota")}


@dataclass(frozen=True, slots=True)
class Reservation:
    """`count` sends, the first in `wait_s` seconds and then one every `interval_s`.

    With a count of 0 nothing is free: ask again in `wait_s`.
    """

    count: int
    wait_s: float
    interval_s: float


@dataclass(frozen=True, slots=True)
class ThrottleLimits:
    """Limits of a number.

    `daily_limit` is how many people its `portfolio` may reach in 24 hours (None: no limit). `workers`
    is how many processes share the rate when Redis is away.
    """

    channel_id: int
    per_second: float
    portfolio: str = ""
    daily_limit: int | None = None
    workers: int = 1


class QuotaRequest(msgspec.Struct, frozen=True):
    """A person and how many messages are for them.

    `quota_contact_id` is the contact's id in the daily quota, None where Meta does not count the
    message, since their service window is open.
    """

    to: str
    count: int = 1
    quota_contact_id: int | None = None


class QuotaGrant(msgspec.Struct, frozen=True):
    """`count` messages may go now, the next one in `wait_s` seconds."""

    count: int
    wait_s: float


# (contact id, Unix seconds) of the people that were written to in the last 24 hours.
RecentContacts = Iterable[tuple[int, float]]


class LocalThrottle:
    """Rate of one process while Redis is away: its own part of the number's rate."""

    def __init__(self, per_second: float, clock: Callable[[], float] | None = None) -> None:
        self._full_rate = per_second
        self._clock = clock or time.monotonic
        self._next_free_at = 0.0
        self._slowed: tuple[float, float] | None = None

    def start_after(self, reservation: Reservation) -> None:
        """Keep clear of sends that were reserved in Redis."""
        ends_in_s = reservation.wait_s + reservation.count * reservation.interval_s
        self._next_free_at = max(self._next_free_at, self._clock() + ends_in_s)

    def reserve(self, wanted: int, *, is_reply: bool) -> Reservation:
        now, rate = self._clock(), self._rate()
        gap, wanted = 1 / (rate * CAMPAIGN_SHARE), min(wanted, max(1, int(rate)))
        wait_s = max(0.0, self._next_free_at - now)
        if not is_reply and wait_s >= MAX_AHEAD_S:
            return Reservation(0, wait_s - MAX_AHEAD_S / 2, gap)
        self._next_free_at = now + wait_s + wanted * gap
        return Reservation(wanted, wait_s, gap)

    def slow_down(self) -> None:
        if self._slowed is None or self._clock() - self._slowed[1] >= 1:
            self._slowed = (max(1.0, self._rate() / 2), self._clock())

    def _rate(self) -> float:
        if self._slowed is None:
            return self._full_rate
        rate, since = self._slowed
        return min(
            self._full_rate, rate + self._full_rate * RECOVERY_PER_S * (self._clock() - since)
        )


class Throttle:
    """Shared throttle of one number, in Redis.

    `load_recent_contacts` reads the people reached in the last day from SQL, before the first
    reservation under a daily limit. `clock` replaces Redis's own, in seconds.
    """

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
        """Reserve at most `wanted` sends, in one round trip."""
        limit = self._limits.daily_limit or 0
        try:
            reservation = self._reserve(wanted, is_reply, limit)
            if reservation.count < 0:
                self._seed_daily_quota()
                reservation = self._reserve(wanted, is_reply, limit)
        except (RedisError, ValueError, TypeError):
            return self._reserve_locally(wanted, is_reply)
        self._local_quota = None
        # Should Redis go away now, the local throttle goes on after what it has granted.
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
        """Halve the rate, since the provider says that we are too fast; it recovers slowly."""
        try:
            self._run("slow_down", [self._rate_key], self._limits.per_second, ttl("throttle"))
        except RedisError:
            self._local.slow_down()

    def grant_quota(
        self, requests: Sequence[QuotaRequest], *, is_reply: bool = False
    ) -> list[QuotaGrant]:
        """Return how many of each person's messages may go now, in one round trip for all."""
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
        """Store in Redis, which lost it or never had it, the people written to in the last day."""
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
        """Reserve from this process's part of the rate, and of the daily quota that SQL says is left."""
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
