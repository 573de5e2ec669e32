"""The platform's clock, which can be set forward: 24 hours pass in a millisecond."""

import time


class Clock:
    """Unix seconds. Windows, limits, expiries and due statuses follow it; retries do not."""

    def __init__(self) -> None:
        self.offset_s = 0.0

    def now(self) -> float:
        return time.time() + self.offset_s

    def advance(self, seconds: float) -> None:
        self.offset_s += seconds
