"""SQL that differs between SQLite and PostgreSQL. Builds statements; only `advisory_lock` runs one."""

from __future__ import annotations

import sqlite3
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects import sqlite as sqlite_dialect
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.expression import FunctionElement

from chatbot.core.db.types import UtcDateTime


class db_now(FunctionElement[datetime]):
    """SQL expression: the database's clock plus `seconds`. Leases never trust a worker's clock."""

    type = UtcDateTime()
    inherit_cache = True

    def __init__(self, seconds: float | sa.ColumnElement[Any] = 0) -> None:
        super().__init__(
            sa.literal(seconds, sa.Float) if isinstance(seconds, int | float) else seconds
        )


@compiles(db_now, "sqlite")
def _db_now_sqlite(element: db_now, compiler: Any, **kw: Any) -> str:
    seconds = compiler.process(element.clauses, **kw)
    # SQLite gives three decimals and SQLAlchemy writes six: pad, so that text compares like time.
    return f"strftime('%Y-%m-%d %H:%M:%f', 'now', {seconds} || ' seconds') || '000'"


@compiles(db_now, "postgresql")
def _db_now_postgresql(element: db_now, compiler: Any, **kw: Any) -> str:
    return f"(clock_timestamp() + {compiler.process(element.clauses, **kw)} * interval '1 second')"


def is_postgresql(connection: sa.Connection | sa.Engine) -> bool:
    return connection.dialect.name == "postgresql"


def upsert(connection: sa.Connection, table: Any) -> Any:
    """Return an INSERT that has `on_conflict_do_update` and `on_conflict_do_nothing`."""
    return (postgresql if is_postgresql(connection) else sqlite_dialect).insert(table)


def advisory_lock(connection: sa.Connection, name: str) -> None:
    """Take the lock `name` until the transaction ends; it excludes all other processes.

    SQLite needs none: it has one writing transaction at a time.
    """
    if is_postgresql(connection):
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtext(name))))


def skip_locked(query: Any, connection: sa.Connection | sa.Engine, of: Any = None) -> Any:
    """Add FOR UPDATE SKIP LOCKED (PostgreSQL only), so that rows claimed by others are skipped.

    `of` is the table whose rows are locked when the query joins others: locking those too would block
    every transaction that refers to them.
    """
    return query.with_for_update(skip_locked=True, of=of) if is_postgresql(connection) else query


def claimable_rows(
    query: sa.Select[Any], connection: sa.Connection | sa.Engine, of: Any
) -> sa.FromClause:
    """Return the unlocked rows of `query` as a source for the statement that claims them.

    In PostgreSQL it is a CTE, which is evaluated once. A subquery may be evaluated once per row of an
    outer loop, with other rows each time, and so claim more than its limit.
    """
    if is_postgresql(connection):
        return skip_locked(query, connection, of=of).cte("claimable")  # type: ignore[no-any-return]
    return query.subquery()


def index_where(condition: str) -> dict[str, Any]:
    """Return the keyword arguments that make an `sa.Index` partial, with one condition for both databases."""
    clause = sa.text(condition)
    return {"sqlite_where": clause, "postgresql_where": clause}


# lock_not_available, query_canceled (a time-out), too_many_connections, deadlock_detected
_BUSY_STATES = {"55P03", "57014", "53300", "40P01"}


def is_busy(error: BaseException | None) -> bool:
    """Return whether the database refused only for now: a lock, a time-out or no free connection."""
    if isinstance(error, sa.exc.TimeoutError):
        return True
    if not isinstance(error, sa.exc.DBAPIError):
        return False
    code = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF
    is_locked = code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
    return is_locked or getattr(error.orig, "sqlstate", None) in _BUSY_STATES
