"""The ledger: claim rows, record what became of them, settle what is in doubt.

Everything that decides is in SQL, in one statement each, so that any number of workers on any number
of hosts agree. The functions take a connection and leave the commit to the caller.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any

import msgspec
import sqlalchemy as sa

from chatbot.core.db import (
    claimable,
    db_now,
    is_postgresql,
    json_rows,
    json_table,
    rows_text,
    storable,
)
from chatbot.core.metrics import count
from chatbot.core.staleness import forget_with
from chatbot.delivery.failures import Consequences
from chatbot.delivery.states import IN_FLIGHT, State

# How often a row may be lost with its worker before it is believed to be what kills them.
MAX_LOST = 3


@dataclass(frozen=True, slots=True)
class Ledger:
    """A table that carries the columns of `LedgerMixin`. `prefix` names it in callback ids; `shown_in`
    the column whose value, with `topic`, says what the cache shows of a row."""

    prefix: str
    table: sa.Table
    shown_in: str | None = None
    topic: Callable[[int], str] = str
    consequences: Consequences | None = None

    def returning(self, statement: sa.Update) -> Any:
        """The same update, which tells what `run` wants to know of its rows."""
        t = self.table
        shown = t.c[self.shown_in] if self.shown_in else sa.null()
        return statement.returning(t.c.id, t.c.wamid, shown.label("shown"))

    def run(
        self, connection: sa.Connection, returning: Any, values: Mapping[str, object] | None = None
    ) -> list[Any]:
        """Run such an update; returns its rows as (id, wamid, ...), and has forgotten what shows them."""
        rows = list(connection.execute(returning, values or {}))
        if self.shown_in:
            forget_with(connection, *{self.topic(row.shown) for row in rows})
        return rows

    def update(
        self,
        connection: sa.Connection,
        statement: sa.Update,
        values: Mapping[str, object] | None = None,
    ) -> list[Any]:
        """Both, for a statement that is not built once and kept."""
        return self.run(connection, self.returning(statement), values)


class Result(StrEnum):
    """What became of one attempt."""

    ACCEPTED = "accepted"
    FAILED = "failed"
    RETRY = "retry"  # refused for now: queued again, for later
    UNSENT = "unsent"  # certainly never left us: queued again, and the attempt does not count
    DOUBT = "doubt"  # may have left us


# The state that a result proposes.
STATE_OF_RESULT = {
    Result.ACCEPTED: State.ACCEPTED,
    Result.FAILED: State.FAILED,
    Result.RETRY: State.QUEUED,
    Result.UNSENT: State.QUEUED,
    Result.DOUBT: State.UNKNOWN,
}


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one attempt at one row. `wa_id`: what the provider calls the recipient, if that
    differs from what we sent to. `token` is the claim's: without it an attempt that was given back
    and taken again could not be told from its forerunner."""

    row_id: int
    attempt: int
    result: Result
    wamid: str | None = None
    wa_id: str | None = None
    error_code: int | None = None
    error_detail: str | None = None
    retry_in_s: float = 0.0
    token: str | None = None


def claim_statement(
    engine: sa.Engine,
    ledger: Ledger,
    candidates: sa.Select[Any],
    fence: sa.ColumnElement[bool],
) -> sa.Update:
    """Take the candidate rows for this worker: the claim is also the fence.

    `candidates` selects ids, limited and ordered. `fence` is what must still hold when the row is
    taken (campaign running, no opt-out, no agent took over). Built once by whoever claims, and run by
    `claim`; the candidates may have parameters of their own.
    """
    t = ledger.table
    ids = claimable(candidates, engine, of=t)
    return (
        sa.update(t)
        .where(t.c.id.in_(sa.select(ids.c[0])), t.c.state == State.QUEUED, fence)
        .values(
            state=State.SENDING,
            attempt=t.c.attempt + 1,
            claim_token=sa.bindparam("token", type_=sa.String),
            claimed_until=db_now(sa.bindparam("lease_s", type_=sa.Float)),
        )
    )


def claim(
    connection: sa.Connection,
    ledger: Ledger,
    statement: sa.Update,
    token: str,
    lease_s: float,
    **more: object,
) -> int:
    """Run a claim; the lease runs by the database's clock. Returns how many rows carry `token`."""
    values = {"token": token, "lease_s": lease_s, **more}
    if ledger.shown_in is None:
        return connection.execute(statement, values).rowcount
    return len(ledger.update(connection, statement, values))


def record(
    connection: sa.Connection, ledger: Ledger, outcomes: Sequence[Outcome], doubt_window_s: float
) -> list[Outcome]:
    """Write the outcomes of a slice in one statement.

    A wamid is stored whatever the state, since the status may have come first; the state moves only
    from `sending` or `unknown`, and only for the attempt that the row still stands at. Returns the
    acceptances that are not the row's own: another one has its place, so a person has got it twice.
    """
    statement = _record_statement(ledger, is_postgresql(connection))
    values = {"rows": rows_text(_cells(outcomes)), "doubt_window_s": doubt_window_s}
    wamids = {row.id: row.wamid for row in ledger.run(connection, statement, values)}
    return [
        o
        for o in outcomes
        if o.result is Result.ACCEPTED and wamids.get(o.row_id, o.wamid) != storable(o.wamid)
    ]


@lru_cache(maxsize=16)
def _record_statement(ledger: Ledger, on_postgresql: bool) -> Any:
    t = ledger.table
    rows = json_table(sa.bindparam("rows", type_=sa.Text), on_postgresql, **OUTCOME_COLUMNS)
    # Else SQLite would read the JSON again at each mention of a cell.
    v = sa.select(rows).cte("results").prefix_with("MATERIALIZED")
    window_s = sa.bindparam("doubt_window_s", type_=sa.Float)
    concerns = sa.and_(
        t.c.state.in_(IN_FLIGHT),
        t.c.attempt == v.c.attempt,
        sa.or_(v.c.token.is_(None), v.c.token == t.c.claim_token),
    )
    return ledger.returning(
        sa.update(t)
        .where(t.c.id == v.c.row_id)
        .values(
            state=sa.case((concerns, v.c.state), else_=t.c.state),
            attempt=sa.case(
                (sa.and_(concerns, v.c.unsent == 1), t.c.attempt - 1), else_=t.c.attempt
            ),
            due_at=sa.case(
                (sa.and_(concerns, v.c.state == State.QUEUED), db_now(v.c.retry_in_s)),
                else_=t.c.due_at,
            ),
            doubt_until=sa.case(
                (sa.and_(concerns, v.c.state == State.UNKNOWN), db_now(window_s)),
                else_=t.c.doubt_until,
            ),
            wamid=sa.func.coalesce(t.c.wamid, v.c.wamid),
            error_code=sa.case((concerns, v.c.error_code), else_=t.c.error_code),
            error_detail=sa.case((concerns, v.c.error_detail), else_=t.c.error_detail),
            accepted_at=sa.case(
                (v.c.state == State.ACCEPTED, sa.func.coalesce(t.c.accepted_at, db_now())),
                else_=t.c.accepted_at,
            ),
            failed_at=sa.case(
                (sa.and_(concerns, v.c.state == State.FAILED), db_now()), else_=t.c.failed_at
            ),
        )
    )


OUTCOME_COLUMNS: dict[str, sa.types.TypeEngine[Any]] = {
    "row_id": sa.BigInteger(),
    "attempt": sa.Integer(),
    "state": sa.String(10),
    "wamid": sa.String(255),
    "error_code": sa.Integer(),
    "error_detail": sa.String(500),
    "retry_in_s": sa.Float(),
    "unsent": sa.Integer(),
    "token": sa.String(32),
}


def _cells(outcomes: Iterable[Outcome]) -> list[tuple[object, ...]]:
    """In the order of OUTCOME_COLUMNS."""
    return [
        (
            o.row_id,
            o.attempt,
            STATE_OF_RESULT[o.result],
            storable(o.wamid),
            o.error_code,
            storable(o.error_detail, 500),
            o.retry_in_s,
            int(o.result is Result.UNSENT),
            o.token,
        )
        for o in outcomes
    ]


def count_outcomes(ledger: Ledger, outcomes: Sequence[Outcome]) -> None:
    for result, number in Counter(outcome.result for outcome in outcomes).items():
        count("deliveries", number, ledger=ledger.table.name, result=result)


def find_superseded(
    connection: sa.Connection, ledger: Ledger, outcomes: Sequence[Outcome]
) -> list[Outcome]:
    """Acceptances that are not the row's own: another attempt was accepted too."""
    accepted = {(o.row_id, storable(o.wamid)): o for o in outcomes if o.result is Result.ACCEPTED}
    if not accepted:
        return []
    t = ledger.table
    v = json_rows(connection, _cells(accepted.values()), **OUTCOME_COLUMNS)
    rows = connection.execute(
        sa.select(t.c.id, v.c.wamid)
        .join(v, v.c.row_id == t.c.id)
        .where(t.c.wamid.is_not(None), t.c.wamid != v.c.wamid)
    )
    return [accepted[row.id, row.wamid] for row in rows]


def expire_leases(connection: sa.Connection, ledger: Ledger, doubt_window_s: float) -> int:
    """Rows whose worker is gone are in doubt: it may have sent them before it died."""
    t = ledger.table
    expired = (
        sa.update(t)
        .where(t.c.state == State.SENDING, t.c.claimed_until < db_now())
        .values(
            state=State.UNKNOWN,
            doubt_until=db_now(doubt_window_s),
            times_lost=t.c.times_lost + 1,
        )
    )
    return len(ledger.update(connection, expired))


def requeue_unsent(
    connection: sa.Connection, ledger: Ledger, proven: sa.ColumnElement[bool]
) -> int:
    """Queue again the rows in doubt whose window is over and of which `proven` says: never sent.

    One that was lost with its worker three times is set aside: it stays in doubt, for a person to see.
    """
    t = ledger.table
    return connection.execute(
        sa.update(t)
        .where(
            t.c.state == State.UNKNOWN,
            t.c.doubt_until < db_now(),
            t.c.times_lost < MAX_LOST,
            proven,
        )
        .values(state=State.QUEUED, due_at=db_now(), claim_token=None, doubt_until=None)
    ).rowcount
