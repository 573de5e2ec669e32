"""The ledger: claim rows, take back what was lost, settle what is in doubt.

Everything that decides is in SQL, in one statement each, so that any number of workers on any number
of hosts agree. The functions take a connection and leave the commit to the caller.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from chatbot.core.cache.invalidation import invalidate_with
from chatbot.core.db import claimable_rows, db_now
from chatbot.delivery.failures import SideEffects
from chatbot.delivery.states import MessageState

# How often a row may be lost with its worker before it is believed to be what kills them.
MAX_TIMES_LOST = 3


@dataclass(frozen=True, slots=True)
class SendTable:
    """A table that carries the columns of `LedgerMixin`. `prefix` names it in callback ids; `shown_in`
    the column whose value, with `topic`, says what the cache shows of a row."""

    prefix: str
    table: sa.Table
    cache_tag_column: str | None = None
    cache_tag: Callable[[int], str] = str
    side_effects: SideEffects | None = None

    def returning(self, statement: sa.Update) -> Any:
        """The same update, which tells what `run` wants to know of its rows."""
        t = self.table
        shown = t.c[self.cache_tag_column] if self.cache_tag_column else sa.null()
        return statement.returning(t.c.id, t.c.wamid, shown.label("shown"))

    def execute_returning(
        self, connection: sa.Connection, returning: Any, values: Mapping[str, object] | None = None
    ) -> list[Any]:
        """Run such an update; returns its rows as (id, wamid, ...), and has forgotten what shows them."""
        rows = list(connection.execute(returning, values or {}))
        if self.cache_tag_column:
            invalidate_with(connection, *{self.cache_tag(row.shown) for row in rows})
        return rows

    def update(
        self,
        connection: sa.Connection,
        statement: sa.Update,
        values: Mapping[str, object] | None = None,
    ) -> list[Any]:
        """Both, for a statement that is not built once and kept."""
        return self.execute_returning(connection, self.returning(statement), values)


def claim_statement(
    engine: sa.Engine,
    send_table: SendTable,
    candidates: sa.Select[Any],
    fence: sa.ColumnElement[bool],
) -> sa.Update:
    """Take the candidate rows for this worker: the claim is also the fence.

    `candidates` selects ids, limited and ordered. `fence` is what must still hold when the row is
    taken (campaign running, no opt-out, no agent took over). Built once by whoever claims, and run by
    `claim`; the candidates may have parameters of their own.
    """
    t = send_table.table
    ids = claimable_rows(candidates, engine, of=t)
    return (
        sa.update(t)
        .where(t.c.id.in_(sa.select(ids.c[0])), t.c.state == MessageState.QUEUED, fence)
        .values(
            state=MessageState.SENDING,
            attempt=t.c.attempt + 1,
            claim_token=sa.bindparam("token", type_=sa.String),
            claimed_until=db_now(sa.bindparam("lease_s", type_=sa.Float)),
        )
    )


def claim_rows(
    connection: sa.Connection,
    send_table: SendTable,
    statement: sa.Update,
    token: str,
    lease_s: float,
    **more: object,
) -> int:
    """Run a claim; the lease runs by the database's clock. Returns how many rows carry `token`."""
    values = {"token": token, "lease_s": lease_s, **more}
    if send_table.cache_tag_column is None:
        return connection.execute(statement, values).rowcount
    return len(send_table.update(connection, statement, values))


def expire_leases(connection: sa.Connection, send_table: SendTable, doubt_window_s: float) -> int:
    """Rows whose worker is gone are in doubt: it may have sent them before it died."""
    t = send_table.table
    expired = (
        sa.update(t)
        .where(t.c.state == MessageState.SENDING, t.c.claimed_until < db_now())
        .values(
            state=MessageState.UNKNOWN,
            doubt_until=db_now(doubt_window_s),
            times_lost=t.c.times_lost + 1,
        )
    )
    return len(send_table.update(connection, expired))


def requeue_unsent(
    connection: sa.Connection, send_table: SendTable, proven: sa.ColumnElement[bool]
) -> int:
    """Queue again the rows in doubt whose window is over and of which `proven` says: never sent.

    One that was lost with its worker three times is set aside: it stays in doubt, for a person to see.
    """
    t = send_table.table
    return connection.execute(
        sa.update(t)
        .where(
            t.c.state == MessageState.UNKNOWN,
            t.c.doubt_until < db_now(),
            t.c.times_lost < MAX_TIMES_LOST,
            proven,
        )
        .values(state=MessageState.QUEUED, due_at=db_now(), claim_token=None, doubt_until=None)
    ).rowcount
