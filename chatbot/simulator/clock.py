"""Clock of the simulated platform. It can be set forward, so that tests need not wait 24 hours."""

import time


class Clock:
    """Clock in Unix seconds for windows, limits, expiries and due statuses, but not for retries."""

    def __init__(self) -> None:
        self.offset_s = 0.0

    def now(self) -> float:
        return time.time() + self.offset_s

    def advance(self, seconds: float) -> None:
        self.offset_s += seconds
