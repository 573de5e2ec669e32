"""The pace that one process keeps to by itself while Redis is away: the same line, on its own part."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

BUCKET_SIZE = 45  # messages to one person in a burst
CAMPAIGN_SHARE = 0.9
RECOVERY_PER_S = 0.01
# Campaigns book at most this far ahead, so that a reply or a slower pace takes effect soon.
MAX_AHEAD_S = 1.0


@dataclass(frozen=True, slots=True)
class Reservation:
    """`count` sends, the first in `wait_s` seconds and then one every `interval_s`.

    A count of 0 says: nothing is free, ask again in `wait_s`.
    """

    count: int
    wait_s: float
    interval_s: float


class LocalThrottle:
    def __init__(self, per_second: float, clock: Callable[[], float] | None = None) -> None:
        self._full_rate = per_second
        self._clock = clock or time.monotonic
        self._next_free_at = 0.0
        self._slowed: tuple[float, float] | None = None

    def start_after(self, reservation: Reservation) -> None:
        """What was booked elsewhere is still ahead of us."""
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
