"""The pace that one process keeps to by itself while Redis is away: the same line, on its own part."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

BUCKET = 45  # messages to one person in a burst
CAMPAIGN_SHARE = 0.9
CREEP = 0.01
# Campaigns book at most this far ahead, so that a reply or a slower pace takes effect soon.
HORIZON_S = 1.0


@dataclass(frozen=True, slots=True)
class Booking:
    """`count` sends, the first in `wait_s` seconds and then one every `interval_s`.

    A count of 0 says: nothing is free, ask again in `wait_s`.
    """

    count: int
    wait_s: float
    interval_s: float


class LocalPace:
    def __init__(self, per_second: float, clock: Callable[[], float] | None = None) -> None:
        self._full = per_second
        self._clock = clock or time.monotonic
        self._free = 0.0
        self._slow: tuple[float, float] | None = None

    def follow(self, booking: Booking) -> None:
        """What was booked elsewhere is still ahead of us."""
        ends_in_s = booking.wait_s + booking.count * booking.interval_s
        self._free = max(self._free, self._clock() + ends_in_s)

    def book(self, wanted: int, *, is_reply: bool) -> Booking:
        now, rate = self._clock(), self._rate()
        gap, wanted = 1 / (rate * CAMPAIGN_SHARE), min(wanted, max(1, int(rate)))
        wait_s = max(0.0, self._free - now)
        if not is_reply and wait_s >= HORIZON_S:
            return Booking(0, wait_s - HORIZON_S / 2, gap)
        self._free = now + wait_s + wanted * gap
        return Booking(wanted, wait_s, gap)

    def slow_down(self) -> None:
        if self._slow is None or self._clock() - self._slow[1] >= 1:
            self._slow = (max(1.0, self._rate() / 2), self._clock())

    def _rate(self) -> float:
        if self._slow is None:
            return self._full
        rate, since = self._slow
        return min(self._full, rate + self._full * CREEP * (self._clock() - since))
