"""Circuit breaker: after Redis fails, no caller waits for it again until a background write succeeds.

It is attached to the connection, not to the client, so that Flask-Caching, Flask-Limiter, Flask-Session
and RQ, each with its own client, share one state.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from itertools import chain, repeat

import redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError

log = logging.getLogger(__name__)

PROBE_DELAYS_S = (0.05, 0.1, 0.25, 0.5)
PROBE_EVERY_S = 1.0

# Replies of a server that accepts no writes: every process must then go on without it.
REFUSAL_PREFIXES = (
    "READONLY",
    "MISCONF",
    "NOREPLICAS",
    "MASTERDOWN",
    "CLUSTERDOWN",
    "LOADING",
    "BUSY",
    "OOM",
    "NOAUTH",
    "WRONGPASS",
)


class RedisUnavailable(RedisConnectionError):
    """Raised while the breaker is open; nothing was sent."""


class Breaker:
    """Closed: Redis is used. Open: every use fails at once, and a thread probes until Redis is back.

    `probe` must write to Redis and raise when it can't. The `on_recovery` callbacks run before the breaker
    closes, with `direct`, a client that bypasses it; an exception in one keeps it open.
    """

    def __init__(self, direct: redis.Redis, probe: Callable[[], None]) -> None:
        self._direct = direct
        self._probe = probe
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._thread: threading.Thread | None = None
        self.on_recovery: list[Callable[[redis.Redis], None]] = []
        self.is_open = False
        self.reason = ""
        self.opened_at = 0.0
        self.trips = 0
        self.server_id = ""  # the Redis process of the newest connection
        self._failures = 0
        # Since the start of the process. `+= 1` on an attribute is not interrupted in CPython.
        self.commands = 0
        self.timeouts = 0

    def trip(self, error: BaseException) -> None:
        """Open the breaker because of `error`, if it is closed."""
        self.timeouts += isinstance(error, TimeoutError)
        with self._lock:
            self._failures += 1
            if not self.is_open:
                self.reason = f"{type(error).__name__}: {error}"[:200]
                self.opened_at = time.time()
                self.trips += 1
                self.is_open = True
                log.warning("Redis is away, going on without it: %s", self.reason)
            self._ensure_probing()

    def check(self) -> None:
        """Raise `RedisUnavailable` while open."""
        if not self.is_open:
            return
        if self._pid != os.getpid():
            self._after_fork()
        raise RedisUnavailable(self.reason)

    def reset_lock(self) -> None:
        """Replace the lock in a forked child: a thread of the parent may have held it at the fork."""
        self._lock = threading.Lock()

    def _after_fork(self) -> None:
        """Start a probe in the child: threads do not survive a fork."""
        with self._lock:
            self._pid = os.getpid()
            self._thread = None
            self._ensure_probing()

    def _ensure_probing(self) -> None:
        if self._pid == os.getpid() and self._thread and self._thread.is_alive():
            return
        self._pid = os.getpid()
        self._thread = threading.Thread(
            target=self._probe_until_back, name="redis-probe", daemon=True
        )
        self._thread.start()

    def _probe_until_back(self) -> None:
        for delay_s in chain(PROBE_DELAYS_S, repeat(PROBE_EVERY_S)):
            time.sleep(delay_s)
            failures = self._failures
            try:
                self._probe()
                for action in self.on_recovery:
                    action(self._direct)
            except Exception as error:  # any error means that Redis is not usable yet
                self.reason = f"{type(error).__name__}: {error}"[:200]
                continue
            finally:
                self._direct.connection_pool.disconnect()  # small servers allow few connections
            if self._close(failures):
                return

    def _close(self, failures: int) -> bool:
        """Close, unless Redis failed again since `failures`, which the recovery did not cover."""
        with self._lock:
            if self._failures != failures:
                return False
            self.is_open = False
            self._thread = None
            log.warning("Redis is back after %.1f s", time.time() - self.opened_at)
            return True


class DisabledBreaker(Breaker):
    """Breaker of an application without Redis: always open, never probed."""

    def __init__(self, reason: str) -> None:
        super().__init__(redis.Redis(), probe=lambda: None)
        self.is_open = True
        self.reason = reason

    def trip(self, error: BaseException) -> None:
        """Do nothing: it is always open."""

    def check(self) -> None:
        raise RedisUnavailable(self.reason)
