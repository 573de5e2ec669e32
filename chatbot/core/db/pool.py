"""Pool of connections to PostgreSQL, whose small plans allow 20 over all processes."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import sqlalchemy as sa
from sqlalchemy.pool import ConnectionPoolEntry, QueuePool

# SQLAlchemy logs what a pool does under the name of its module; ours are on by default, its own are not.
logging.getLogger(__name__).setLevel(logging.WARNING)

WAIT_S = 5.0  # how long a caller waits for a free connection
# Seconds; the last is in milliseconds and covers data that was sent and is not acknowledged.
_TCP = {
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}

_may_use_reserve: ContextVar[bool] = ContextVar("may_use_reserve", default=False)


@contextmanager
def use_reserve() -> Iterator[None]:
    """Let the block take the reserved connection. It must be short and take no second one."""
    token = _may_use_reserve.set(True)
    try:
        yield
    finally:
        _may_use_reserve.reset(token)


def postgresql_options(
    *, connections: int, idle: int, statement_timeout_s: int
) -> dict[str, object]:
    """Return the options of an engine: at most `connections`, of which `idle` stay open.

    A server or network that is gone is noticed within half a minute, and a statement is cancelled after its
    time-out. Once a statement has run often, PostgreSQL would use a generic plan, which is slow where a
    value selects few rows of a large table.
    """
    session = {
        "timezone": "utc",
        "plan_cache_mode": "force_custom_plan",
        "statement_timeout": statement_timeout_s * 1000,
    }
    idle = min(idle, connections)
    return {
        "poolclass": ReservingPool,
        "pool_size": idle,
        "max_overflow": connections - idle,
        "pool_timeout": WAIT_S,
        "connect_args": {
            "options": " ".join(f"-c {name}={value}" for name, value in session.items()),
            "connect_timeout": 5,
            **_TCP,
        },
    }


class ReservingPool(QueuePool):
    """Pool that reserves one connection for threads that hold one already.

    Some code reads on a second connection inside a transaction. If every connection could be somebody's
    first, all holders could wait for a second one, and none would go on.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._first = threading.BoundedSemaphore(max(1, self.size() + self._max_overflow - 1))
        self._held: Counter[int] = Counter()
        self._owners: dict[ConnectionPoolEntry, tuple[int, bool]] = {}

    def _do_get(self) -> ConnectionPoolEntry:
        thread = threading.get_ident()
        is_first = not (self._held[thread] or _may_use_reserve.get())
        if is_first and not self._first.acquire(timeout=self._timeout):
            raise sa.exc.TimeoutError(
                f"all connections of this process are in use; none was free within {self._timeout:g} s"
            )
        try:
            record = super()._do_get()
        except BaseException:
            if is_first:
                self._first.release()
            raise
        self._owners[record] = thread, is_first
        self._held[thread] += 1
        return record

    def _do_return_conn(self, record: ConnectionPoolEntry) -> None:
        thread, is_first = self._owners.pop(record, (0, False))
        self._held[thread] -= 1
        if self._held[thread] <= 0:
            del self._held[thread]  # threads come and go
        try:
            super()._do_return_conn(record)
        finally:
            if is_first:
                self._first.release()
