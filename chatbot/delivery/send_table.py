"""A send table and its rules: claim rows, expire leases, requeue what was proven unsent.

Each decision is one SQL statement, so that any number of workers on any number of hosts agree.
The functions take a connection and leave the commit to the caller.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import sqlalchemy as sa

from chatbot.core.cache.invalidation import invalidate_with
from chatbot.core.db import claimable_rows, db_now
from chatbot.delivery.models import MessageState, ReceiptWatermark

# A row that was lost with so many workers is believed to be what kills them.
MAX_TIMES_LOST = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryFailure:
    """Failure of a row's message that the provider reported, by an answer or by a status."""

    row_id: int
    code: int
    detail: str
    happened_at: datetime


class SideEffects(Protocol):
    """Hooks of a send table for its contacts, campaigns and channel, called for many rows at once."""

    def on_failed(self, connection: sa.Connection, failures: Sequence[DeliveryFailure]) -> None: ...

    def on_reached(self, connection: sa.Connection, row_ids: Sequence[int]) -> None: ...


@dataclass(frozen=True, slots=True)
class SendTable:
    """A table that has the columns of `SendTableMixin`.

    `prefix` names it in callback ids. `cache_tag` builds the cache tag of a row from the value of
    `cache_tag_column`.
    """

    prefix: str
    table: sa.Table
    cache_tag_column: str | None = None
    cache_tag: Callable[[int], str] = str
    side_effects: SideEffects | None = None

    def returning(self, statement: sa.Update) -> Any:
        """Return the update with the columns that `execute_returning` needs."""
        t = self.table
        shown = t.c[self.cache_tag_column] if self.cache_tag_column else sa.null()
        return statement.returning(t.c.id, t.c.wamid, shown.label("shown"))

    def execute_returning(
        self, connection: sa.Connection, returning: Any, values: Mapping[str, object] | None = None
    ) -> list[Any]:
        """Run such an update, invalidate the cache of its rows, and return them as (id, wamid, ...)."""
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
        """Do both, for a statement that is not built once and kept."""
        return self.execute_returning(connection, self.returning(statement), values)


def claim_statement(
    engine: sa.Engine,
    send_table: SendTable,
    candidates: sa.Select[Any],
    fence: sa.ColumnElement[bool],
) -> sa.Update:
    """Build the update that claims candidate rows for a worker; the claim is also the fence.

    `candidates` selects ids, limited and ordered, and may have parameters of its own. `fence` must
    still hold when the row is claimed (campaign running, no opt-out, no agent took over).
    Build it once and run it with `claim_rows`.
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
    """Run a claim, with a lease by the database's clock; return how many rows carry `token`."""
    values = {"token": token, "lease_s": lease_s, **more}
    if send_table.cache_tag_column is None:
        return connection.execute(statement, values).rowcount
    return len(send_table.update(connection, statement, values))


def expire_leases(connection: sa.Connection, send_table: SendTable, doubt_window_s: float) -> int:
    """Put rows whose worker is gone in doubt: it may have sent them before it died."""
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
    """Queue again the rows in doubt whose window is over and for which `proven` holds.

    A row that was lost with its worker `MAX_TIMES_LOST` times stays in doubt, for a person to see.
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


def proves_unsent(send_table: SendTable, channel_id: Any, receiving: sa.ColumnElement[bool]) -> Any:
    """Return the SQL condition that a row in doubt was never sent.

    All webhooks up to the end of the row's window are applied, none named the row, and `receiving`
    holds (see `receives_statuses`).
    """
    t = send_table.table
    drained = sa.exists().where(
        ReceiptWatermark.channel_id == channel_id,
        ReceiptWatermark.drained_at > t.c.doubt_until,
    )
    return sa.and_(drained, receiving)


def receives_statuses(
    send_table: SendTable, within: Callable[[Any], sa.ColumnElement[bool]]
) -> Any:
    """Return the SQL condition that statuses arrive again for the rows around a row in doubt.

    `within` selects those rows, given an alias of the table. One that was accepted after the row in
    doubt was claimed has its status, and none that was accepted before the end of the window still
    waits for one: after an outage Meta sends old and new statuses in any order.
    """
    t = send_table.table
    later, waiting = t.alias("later"), t.alias("waiting")
    claimed_at = t.c.claimed_until  # at the latest; later is the stricter proof
    reported = sa.exists().where(
        within(later), later.c.accepted_at >= claimed_at, later.c.sent_at.is_not(None)
    )
    unreported = sa.exists().where(
        within(waiting),
        waiting.c.state == MessageState.ACCEPTED,
        waiting.c.accepted_at <= t.c.doubt_until,
    )
    return sa.and_(reported, ~unreported)
