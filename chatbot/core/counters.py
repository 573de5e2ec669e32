"""Counts that are buffered in the process and written in bulk, so that counting costs no round trip.

Counts that could not be written are kept for the next flush. A process that is killed loses those of the
last seconds. A forked child starts at zero, since its parent writes what was counted before the fork.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from collections import defaultdict
from collections.abc import Callable
from typing import Any, Generic, TypeVar

log = logging.getLogger(__name__)

K = TypeVar("K")
N = TypeVar("N", int, float)

Flush = Callable[[], object]


class BufferedCounts(Generic[K, N]):
    """Sums by key. `zero` is the type of the amounts: int or float."""

    def __init__(self, zero: Callable[[], N]) -> None:
        self._zero: Callable[[], N] = zero
        self.reset_after_fork()
        _instances.add(self)

    def reset_after_fork(self) -> None:
        """Start at zero: a thread of the parent may hold the lock, and no thread survives a fork."""
        self._lock = threading.Lock()
        self._counts: defaultdict[K, N] = defaultdict(self._zero)
        self._flushed_at = float("-inf")
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._timer: threading.Timer | None = None

    @property
    def is_flushing(self) -> bool:
        """Whether this process has the thread of `start_flushing`."""
        return self._thread is not None

    def add(self, key: K, amount: N) -> None:
        with self._lock:
            self._counts[key] += amount

    def clear(self) -> None:
        with self._lock:
            self._counts.clear()

    def flush(self, write: Callable[[dict[K, N]], None]) -> None:
        """Hand all counts to `write`, also when there are none. Keep them when it raises."""
        with self._lock:
            taken = dict(self._counts)
            self._counts.clear()
            self._flushed_at, self._timer = time.monotonic(), None
        try:
            write(taken)
        except BaseException:
            for key, amount in taken.items():
                self.add(key, amount)
            raise

    def start_flushing(
        self, find_flush: Callable[[], Flush | None], every_s: Callable[[], float], name: str
    ) -> None:
        """Flush periodically in a thread named `name`, once per process.

        `find_flush` returns the function to call, or None when its owner is gone: a
        `weakref.WeakMethod` lets the thread end with its owner.
        """
        if self._thread is None:
            arguments = (find_flush, every_s, self._stopped)
            self._thread = threading.Thread(
                target=_flush_forever, args=arguments, name=name, daemon=True
            )
            self._thread.start()

    def stop_flushing(self) -> None:
        self._stopped.set()

    def flush_when_due(self, flush: Flush, interval_s: float) -> None:
        """Call `flush` now, or by a timer when the last flush was less than `interval_s` ago."""
        with self._lock:
            wait_s = self._flushed_at + interval_s - time.monotonic()
            if wait_s > 0:
                if self._timer is None:
                    self._timer = threading.Timer(wait_s, flush)
                    self._timer.daemon = True
                    self._timer.start()
                return
        flush()


def _flush_forever(
    find_flush: Callable[[], Flush | None], every_s: Callable[[], float], stopped: threading.Event
) -> None:
    while not stopped.wait(every_s()):
        flush = find_flush()
        if flush is None:
            return
        try:
            flush()
        except Exception:  # the thread must survive: it also reports that the process lives
            log.exception("flushing counts failed")
        del flush  # it would keep its owner alive during the wait


_instances: weakref.WeakSet[BufferedCounts[Any, Any]] = weakref.WeakSet()


def _reset_after_fork() -> None:
    for counts in _instances:
        counts.reset_after_fork()


os.register_at_fork(after_in_child=_reset_after_fork)
