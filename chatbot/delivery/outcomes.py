"""What became of attempts: results from the sender, written into the ledger in one statement a slice.

The functions take a connection and leave the commit to the caller.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from enum import StrEnum
from functools import lru_cache
from typing import Any

import msgspec
import sqlalchemy as sa

from chatbot.core.db import db_now, is_postgresql, storable
from chatbot.core.metrics import count
from chatbot.core.rows import json_rows, json_table, rows_text
from chatbot.delivery.ledger import Ledger
from chatbot.delivery.states import IN_FLIGHT, State


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


def record(
    connection: sa.Connection, ledger: Ledger, outcomes: Sequence[Outcome], doubt_window_s: float
) -> list[Outcome]:
    """Write the outcomes of a slice in one statement.

    A wamid is stored whatever the state, since the status may have come first; the state moves only
    from `sending` or `unknown`, and only for the attempt that the row still stands at. Returns the
    acceptances that are not the row's own: another one has its place, so a person has got it twice.
    """
    on_postgresql = is_postgresql(connection)
    values = {"rows": rows_text(_cells(outcomes)), "doubt_window_s": doubt_window_s}
    if ledger.shown_in is None and all(o.result is Result.ACCEPTED for o in outcomes):
        accepted = connection.execute(_accept_statement(ledger, on_postgresql), values)
        if accepted.rowcount == len(outcomes):
            return []
    statement = _record_statement(ledger, on_postgresql)
    wamids = {row.id: row.wamid for row in ledger.run(connection, statement, values)}
    return [
        o
        for o in outcomes
        if o.result is Result.ACCEPTED and wamids.get(o.row_id, o.wamid) != storable(o.wamid)
    ]


@lru_cache(maxsize=16)
def _accept_statement(ledger: Ledger, on_postgresql: bool) -> sa.Update:
    """What becomes of nearly all, written in half the time: acceptances of rows that still stand where
    they were claimed, and have no other. What it does not meet is for `_record_statement`."""
    t, v = ledger.table, _results(on_postgresql)
    return (
        sa.update(t)
        .where(t.c.id == v.c.row_id, _concerns(t, v), t.c.wamid.is_(None))
        .values(
            state=State.ACCEPTED,
            wamid=v.c.wamid,
            accepted_at=sa.func.coalesce(t.c.accepted_at, db_now()),
            error_code=None,  # of an earlier attempt
            error_detail=None,
        )
    )


def _results(on_postgresql: bool) -> sa.Subquery:
    """OFFSET 0 keeps it whole: else SQLite would read the JSON again at each mention of a cell."""
    rows = json_table(sa.bindparam("rows", type_=sa.Text), on_postgresql, **OUTCOME_COLUMNS)
    return sa.select(rows).offset(0).subquery("results")


def _concerns(t: sa.Table, v: sa.FromClause) -> sa.ColumnElement[bool]:
    """Whether a result is that of the attempt at which the row stands."""
    return sa.and_(
        t.c.state.in_(IN_FLIGHT),
        t.c.attempt == v.c.attempt,
        sa.or_(v.c.token.is_(None), v.c.token == t.c.claim_token),
    )


@lru_cache(maxsize=16)
def _record_statement(ledger: Ledger, on_postgresql: bool) -> Any:
    t = ledger.table
    v = _results(on_postgresql)
    window_s = sa.bindparam("doubt_window_s", type_=sa.Float)
    concerns = _concerns(t, v)
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
