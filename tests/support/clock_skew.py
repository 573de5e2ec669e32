"""Run a module with a skewed clock: `python -m tests.support.clock_skew SECONDS MODULE ARGUMENT...`.

It changes the time that Python returns, but not the monotonic clock or the clocks of the databases.
"""

from __future__ import annotations

import datetime
import runpy
import sys
import time

real_time, RealDatetime = time.time, datetime.datetime


class MovedDatetime(RealDatetime):
    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> MovedDatetime:
        return cls.fromtimestamp(time.time(), tz)

    @classmethod
    def utcnow(cls) -> MovedDatetime:
        return cls.now(datetime.UTC).replace(tzinfo=None)


def main(skew_s: float, module: str, *arguments: str) -> None:
    time.time = lambda: real_time() + skew_s
    datetime.datetime = MovedDatetime  # type: ignore[misc]
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(float(sys.argv[1]), *sys.argv[2:])
