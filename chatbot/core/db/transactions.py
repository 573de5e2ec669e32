"""Modes of transactions: read-only or writing, and autocommit for a single statement.

The read-only mode belongs to the current context (request, thread or task); `engines` reads it when a
transaction begins.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import sqlalchemy as sa

from chatbot.core.db.dialects import is_postgresql

# How long a request waits for SQLite's write lock. One that shows a page writes at most its session.
WRITE_WAIT_S = 4.0
WRITE_WAIT_OF_READERS_S = 1.0
MIN_WRITE_WAIT_S = 0.5  # of a request that has waited for a thread already

_write_wait_s: ContextVar[float | None] = ContextVar("write_wait_s", default=None)
_read_only: ContextVar[bool] = ContextVar("read_only", default=False)


def is_read_only() -> bool:
    return _read_only.get()


@contextmanager
def read_only() -> Iterator[None]:
    """Begin transactions inside the block as reading ones, which never wait for a writer."""
    token = _read_only.set(True)
    try:
        yield
    finally:
        _read_only.reset(token)


def mark_request_read_only() -> None:
    """Begin this request's transactions as reading ones; its context ends with the request."""
    _read_only.set(True)
    _write_wait_s.set(WRITE_WAIT_OF_READERS_S)


def mark_request_writable(waited_s: float = 0.0) -> None:
    """Begin this request's transactions as writing ones; it has waited for a thread for `waited_s`."""
    _read_only.set(False)
    _write_wait_s.set(max(min(MIN_WRITE_WAIT_S, WRITE_WAIT_S), WRITE_WAIT_S - waited_s))


def stop_waiting_to_write() -> None:
    """Let later writes of this request fail at once: it has waited in vain, and its answer is an error."""
    _write_wait_s.set(0.0)


def get_write_wait_s() -> float | None:
    """Return how long this request waits for SQLite's write lock; None outside requests."""
    return _write_wait_s.get()


@contextmanager
def autocommit(engine: sa.Engine) -> Iterator[sa.Connection]:
    """Yield a connection for one statement that commits by itself.

    PostgreSQL needs one round trip for it instead of three.
    """
    if is_postgresql(engine):
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            yield connection
    else:
        with engine.begin() as connection:
            yield connection
