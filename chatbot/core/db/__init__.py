"""SQL is the only truth: engines, the column types and the few statements that differ by dialect.

SQLite is a real mode for one machine with several processes. Its rule is that a transaction which may
write takes the write lock at its first statement (a read that turns into a write fails at once with
"database is locked"), so every transaction begins IMMEDIATE unless it was opened by `reading()`.
"""

from __future__ import annotations

import os
import sqlite3
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from flask_sqlalchemy_lite import SQLAlchemy
from sqlalchemy import event
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects import sqlite as sqlite_dialect
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.sql.expression import FunctionElement

from chatbot.core.db import sqlite

PING_AFTER_IDLE_S = 1.0  # after which a connection to PostgreSQL may have died unnoticed
_USED_AT = "prosa_used_at"

db = SQLAlchemy()

_read_only: ContextVar[bool] = ContextVar("read_only", default=False)
_engines: weakref.WeakSet[sa.Engine] = weakref.WeakSet()


class Base(DeclarativeBase):
    metadata = sa.MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class UtcDateTime(sa.TypeDecorator[datetime]):
    """An aware UTC moment; SQLite, which knows no zones, stores it as naive UTC text."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment without a time zone")
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        return None if value is None else value.replace(tzinfo=value.tzinfo or UTC).astimezone(UTC)


class EnumString(sa.TypeDecorator[str]):
    """One of a few words of our own, such as a state.

    What such a column is compared with is written into the statement, and is no parameter: else a plan
    made once for all could use no partial index, and SQLite, to use one, would plan anew at each run.
    """

    impl = sa.String
    cache_ok = True

    class Comparator(sa.TypeDecorator.Comparator[str]):
        def operate(self, op: Any, *others: Any, **kw: Any) -> Any:
            return super().operate(op, *map(_as_literal, others), **kw)

    comparator_factory = Comparator


def _as_literal(value: Any) -> Any:
    if isinstance(value, StrEnum):
        return sa.literal_column(f"'{value}'", sa.String())
    return [_as_literal(v) for v in value] if isinstance(value, tuple | list) else value


Json = sa.JSON().with_variant(JSONB(), "postgresql")
# SQLite autoincrements only a column declared INTEGER.
BigId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


class db_now(FunctionElement[datetime]):
    """The database's own clock, moved by some seconds: leases never trust a worker's clock."""

    type = UtcDateTime()
    inherit_cache = True

    def __init__(self, seconds: float | sa.ColumnElement[Any] = 0) -> None:
        super().__init__(
            sa.literal(seconds, sa.Float) if isinstance(seconds, int | float) else seconds
        )


@compiles(db_now, "sqlite")
def _db_now_sqlite(element: db_now, compiler: Any, **kw: Any) -> str:
    seconds = compiler.process(element.clauses, **kw)
    # Three digits from SQLite, six in what SQLAlchemy writes: padded, so that text compares as time.
    return f"strftime('%Y-%m-%d %H:%M:%f', 'now', {seconds} || ' seconds') || '000'"


@compiles(db_now, "postgresql")
def _db_now_postgresql(element: db_now, compiler: Any, **kw: Any) -> str:
    return f"(clock_timestamp() + {compiler.process(element.clauses, **kw)} * interval '1 second')"


def configure_engine(engine: sa.Engine) -> None:
    """Give an engine the habits its dialect needs. Called once per engine by the factory."""
    _engines.add(engine)
    if engine.dialect.name != "sqlite":
        _ping_idle_connections(engine)
        return
    sqlite.check_version()
    event.listen(engine, "connect", sqlite.configure_connection)
    event.listen(engine, "begin", _begin_sqlite)


def _ping_idle_connections(engine: sa.Engine) -> None:
    """A connection that has not been used for a moment is asked whether it lives before it is lent.

    Asked each time, as `pool_pre_ping` does, every transaction would pay a round trip for it; one that
    was in use a moment ago is lost only with what is under way on it.
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
    if _read_only.get():
        connection.exec_driver_sql("BEGIN")
    else:
        try:
            connection.connection.driver_connection.begin_immediate()  # type: ignore[union-attr]
        except sqlite3.Error as error:  # which SQLAlchemy does not wrap in its own here
            statement = "BEGIN IMMEDIATE"
            raise sa.exc.DBAPIError.instance(statement, None, error, sqlite3.Error) from error


@contextmanager
def autocommit(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A connection for a single statement, which is committed by itself: PostgreSQL needs one round
    trip for it instead of three."""
    if engine.dialect.name == "sqlite":
        with engine.begin() as connection:
            yield connection
    else:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            yield connection


@contextmanager
def read_only() -> Iterator[None]:
    """Transactions begun inside only read, and so never wait for a writer."""
    token = _read_only.set(True)
    try:
        yield
    finally:
        _read_only.reset(token)


def mark_request_read_only() -> None:
    """Mark this request's transactions as reading ones (the context ends with the request)."""
    _read_only.set(True)


def mark_request_writable() -> None:
    _read_only.set(False)


def advisory_lock(connection: sa.Connection, name: str) -> None:
    """Let one transaction at a time pass this point, over all processes, until it ends.

    SQLite needs nothing: a writing transaction is alone already.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtext(name))))


def skip_locked(query: Any, connection: sa.Connection | sa.Engine, of: Any = None) -> Any:
    """Rows that another transaction is claiming are passed over (PostgreSQL).

    `of` names the table whose rows are taken, where the query joins others: a lock on those would
    stop whoever only refers to them.
    """
    return query.with_for_update(skip_locked=True, of=of) if is_postgresql(connection) else query


def claimable_rows(
    query: sa.Select[Any], connection: sa.Connection | sa.Engine, of: Any
) -> sa.FromClause:
    """Such rows as a source for the statement that claims them, evaluated once: a subquery may be run
    once per row of an outer loop, each time with other rows, and take more than its limit."""
    if is_postgresql(connection):
        return skip_locked(query, connection, of=of).cte("claimable")  # type: ignore[no-any-return]
    return query.subquery()


def is_postgresql(connection: sa.Connection | sa.Engine) -> bool:
    return connection.dialect.name == "postgresql"


def upsert(connection: sa.Connection, table: Any) -> Any:
    """An INSERT that knows `on_conflict_do_update` and `on_conflict_do_nothing`."""
    return (postgresql if is_postgresql(connection) else sqlite_dialect).insert(table)


def sanitize_text(text: str | None, max_length: int = 255) -> str | None:
    """A text from outside as any column takes it: PostgreSQL refuses NUL, no encoder has a lone
    surrogate, and one row that can't be written would hold back all that are written with it."""
    if text is None:
        return None
    return text.replace("\x00", "").encode("utf-8", "replace").decode()[:max_length]


def timestamp_text(value: datetime | None) -> str | None:
    """A moment as `json_rows` wants it, comparable as text in SQLite and castable in PostgreSQL."""
    if value is None:
        return None
    return value.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")


def dispose_engines_after_fork() -> None:
    """A child must not speak on its parent's connections; they are dropped, not closed."""
    for engine in _engines:
        engine.dispose(close=False)
    sqlite.reset_write_lock()


os.register_at_fork(after_in_child=dispose_engines_after_fork)
