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


def mark_request_writable() -> None:
    _read_only.set(False)


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
