"""Set-up of engines: how connections are opened, checked and begun, and what happens after a fork.

SQLite is a supported mode for one machine with several processes. A transaction that may write takes
the write lock at its first statement, since a read that turns into a write fails at once with "database
is locked". So every transaction begins IMMEDIATE unless it was opened under `read_only()`.
"""

from __future__ import annotations

import os
import sqlite3
import time
import weakref
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.pool import ConnectionPoolEntry

from chatbot.core.db import sqlite
from chatbot.core.db.error_text import hide_values_in_error
from chatbot.core.db.transactions import get_write_wait_s, is_read_only

PING_AFTER_IDLE_S = 1.0  # after which a connection to PostgreSQL may have died unnoticed
_USED_AT = "prosa_used_at"

_engines: weakref.WeakSet[sa.Engine] = weakref.WeakSet()


def configure_engine(engine: sa.Engine) -> None:
    """Install the listeners that the engine's dialect needs. Called once per engine by the factory."""
    _engines.add(engine)
    if engine.dialect.name != "sqlite":
        event.listen(engine, "handle_error", hide_values_in_error)
        _ping_idle_connections(engine)
        return
    sqlite.check_version()
    event.listen(engine, "connect", sqlite.configure_connection)
    event.listen(engine, "begin", _begin_sqlite)


def _ping_idle_connections(engine: sa.Engine) -> None:
    """Ping a connection at checkout when it was idle for PING_AFTER_IDLE_S.

    `pool_pre_ping` would cost every transaction a round trip. A connection that was in use a moment ago
    is rarely dead.
    """

    def mark_used(_connection: object, record: ConnectionPoolEntry) -> None:
        record.info[_USED_AT] = time.monotonic()

    def ping(connection: Any, record: ConnectionPoolEntry, _proxy: object) -> None:
        if time.monotonic() - record.info[_USED_AT] < PING_AFTER_IDLE_S:
            return
        try:
            engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error:
            raise sa.exc.InvalidatePoolError from None  # the pool makes new ones

    event.listen(engine, "connect", mark_used)
    event.listen(engine, "checkin", mark_used)
    event.listen(engine, "checkout", ping)


def _begin_sqlite(connection: sa.Connection) -> None:
    driver: Any = connection.connection.driver_connection
    begin = driver.begin_reading if is_read_only() else driver.begin_immediate
    try:
        begin(get_write_wait_s())
    except sqlite3.Error as error:  # SQLAlchemy does not wrap it in its own error here
        raise sa.exc.DBAPIError.instance("BEGIN", None, error, sqlite3.Error) from error


def dispose_engines_after_fork() -> None:
    """Drop the parent's connections without closing them: a child must not use them."""
    for engine in _engines:
        engine.dispose(close=False)
    sqlite.reset_write_lock()


os.register_at_fork(after_in_child=dispose_engines_after_fork)
