"""The pacer: when may how many messages leave on a number, and to whom, over all workers.

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
from chatbot.delivery.local_pace import BUCKET, Booking, LocalPace

BATCH = 1000
# Campaigns write only to whom the whole bucket is free: bursts are for replies.
CAMPAIGN_RESERVE = BUCKET - 1

_LUA = Path(__file__).parent / "lua"
_SCRIPTS = {name: (_LUA / f"{name}.lua").read_text() for name in ("book", "slow", "admit")}


@dataclass(frozen=True, slots=True)
class Line:
    """The number that is paced. `portfolio` shares `daily_limit` (people in 24 hours; None: no
    limit); `workers` is by how many processes the pace is shared when Redis is away."""

    channel_id: int
    per_second: float
    portfolio: str = ""
    daily_limit: int | None = None
    workers: int = 1


class Guest(msgspec.Struct, frozen=True):
    """A person and how many messages are for them. `counts_as`: who it is among the day's people,
    None where Meta doesn't count them, since their service window is open."""

    to: str
    count: int = 1
    counts_as: int | None = None


class Admission(msgspec.Struct, frozen=True):
    """`count` messages may go now, the next one in `wait_s` seconds."""

    count: int
    wait_s: float


# People that were written to in the last 24 hours, and when (Unix seconds).
People = Iterable[tuple[int, float]]


class Pacer:
    """`day` counts the day's people in SQL; it is asked before the first booking under a daily limit.
    `clock` replaces Redis's own, in seconds."""

    def __init__(
        self,
        client: redis.Redis,
        line: Line,
        *,
        day: Callable[[], People] = tuple,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._client = client
        self._line = line
        self._day = day
        self._clock = clock
        self._scripts = {name: client.register_script(text) for name, text in _SCRIPTS.items()}
        self._local = LocalPace(line.per_second / max(1, line.workers), clock)
        self._local_room: int | None = None
        self._key = key("pacer", line.channel_id)
        self._people = key("people", line.portfolio)
        self._counted = key("people", line.portfolio, "counted")

    def book(self, wanted: int, *, is_reply: bool = False) -> Booking:
        """Book at most `wanted` sends; one round trip."""
        limit = self._line.daily_limit or 0
        try:
            booking = self._book(wanted, is_reply, limit)
            if booking.count < 0:
                self._count_people()
                booking = self._book(wanted, is_reply, limit)
        except (RedisError, ValueError, TypeError):
            return self._book_locally(wanted, is_reply)
        self._local_room = None
        # Should Redis go away now, our own pace goes on behind what it has granted.
        self._local.follow(booking)
        return booking

    def _book(self, wanted: int, is_reply: bool, limit: int) -> Booking:
        count, wait, gap = self._run(
            "book",
            [self._key, self._people, self._counted],
            self._line.per_second,
            wanted,
            int(is_reply),
            limit,
            ttl("pacer"),
        )
        return Booking(int(count), float(wait), float(gap))

    def slow_down(self) -> None:
        """The provider says that we are too fast: half the pace, from which it creeps up again."""
        try:
            self._run("slow", [self._key], self._line.per_second, ttl("pacer"))
        except RedisError:
            self._local.slow_down()

    def admit(self, guests: Sequence[Guest], *, is_reply: bool = False) -> list[Admission]:
        """How many of each person's messages may go now; one round trip for all."""
        reserve = 0 if is_reply else CAMPAIGN_RESERVE
        keys = [key("pair", self._line.channel_id, guest.to) for guest in guests]
        people: list[int | str] = []
        for guest in guests:
            people += ["" if guest.counts_as is None else guest.counts_as, guest.count]
        limit = self._line.daily_limit or 0
        try:
            refused = self._run(
                "admit", [self._people, *keys], limit, ttl("people"), reserve, *people
            )
        except RedisError:
            refused = []
        admissions = [Admission(guest.count, 0.0) for guest in guests]
        for place, count, wait in refused:
            admissions[place] = Admission(int(count), float(wait))
        return admissions

    def _run(self, name: str, keys: list[str], *args: int | float | str) -> Any:
        now = "" if self._clock is None else f"{self._clock():.6f}"
        return self._scripts[name](keys=keys, args=[now, *args])

    def _count_people(self) -> None:
        """Tell Redis, which has forgotten or never knew it, who was written to today."""
        scores = {str(person): at for person, at in self._day()}
        members = list(scores)
        with self._client.pipeline(transaction=False) as pipe:
            for start in range(0, len(members), BATCH):
                batch = {m: scores[m] for m in members[start : start + BATCH]}
                pipe.zadd(self._people, batch, gt=True)
            pipe.expire(self._people, ttl("people"))
            pipe.set(self._counted, "1", ex=ttl("people"))
            pipe.execute()

    def _book_locally(self, wanted: int, is_reply: bool) -> Booking:
        """On this process's part of the pace, and of what SQL says is left of the day's people."""
        if self._line.daily_limit and not is_reply:
            if self._local_room is None:
                left = self._line.daily_limit - sum(1 for _ in self._day())
                self._local_room = max(0, left) // max(1, self._line.workers)
            wanted = min(wanted, self._local_room)
            if wanted == 0:
                return Booking(0, 60.0, 0.0)
        booking = self._local.book(wanted, is_reply=is_reply)
        if self._local_room is not None and not is_reply:
            self._local_room -= booking.count
        return booking
