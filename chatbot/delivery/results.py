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

from chatbot.core.db import db_now, is_postgresql, sanitize_text
from chatbot.core.db.bulk_sql import encode_rows, json_rows, json_table
from chatbot.core.metrics import count
from chatbot.delivery.send_table import SendTable
from chatbot.delivery.states import IN_FLIGHT, MessageState


class ResultKind(StrEnum):
    """What became of one attempt."""

    ACCEPTED = "accepted"
    FAILED = "failed"
    RETRY = "retry"  # refused for now: queued again, for later
    UNSENT = "unsent"  # certainly never left us: queued again, and the attempt does not count
    DOUBT = "doubt"  # may have left us


# The state that a result proposes.
STATE_OF_RESULT = {
    ResultKind.ACCEPTED: MessageState.ACCEPTED,
    ResultKind.FAILED: MessageState.FAILED,
    ResultKind.RETRY: MessageState.QUEUED,
    ResultKind.UNSENT: MessageState.QUEUED,
    ResultKind.DOUBT: MessageState.UNKNOWN,
}


class DeliveryResult(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one attempt at one row. `wa_id`: what the provider calls the recipient, if that
    differs from what we sent to. `token` is the claim's: without it an attempt that was given back
    and taken again could not be told from its forerunner."""

    row_id: int
    attempt: int
    result: ResultKind
    wamid: str | None = None
    wa_id: str | None = None
    error_code: int | None = None
    error_detail: str | None = None
    retry_in_s: float = 0.0
    token: str | None = None


def record_results(
    connection: sa.Connection,
    send_table: SendTable,
    results: Sequence[DeliveryResult],
    doubt_window_s: float,
) -> list[DeliveryResult]:
    """Write the outcomes of a slice in one statement.

    A wamid is stored whatever the state, since the status may have come first; the state moves only
    from `sending` or `unknown`, and only for the attempt that the row still stands at. Returns the
    acceptances that are not the row's own: another one has its place, so a person has got it twice.
    """
    on_postgresql = is_postgresql(connection)
    values = {"rows": encode_rows(_result_rows(results)), "doubt_window_s": doubt_window_s}
    if send_table.cache_tag_column is None and all(
        o.result is ResultKind.ACCEPTED for o in results
    ):
        accepted = connection.execute(_accept_statement(send_table, on_postgresql), values)
        if accepted.rowcount == len(results):
            return []
    statement = _record_statement(send_table, on_postgresql)
    wamids = {
        row.id: row.wamid for row in send_table.execute_returning(connection, statement, values)
    }
    return [
        o
        for o in results
        if o.result is ResultKind.ACCEPTED
        and wamids.get(o.row_id, o.wamid) != sanitize_text(o.wamid)
    ]


@lru_cache(maxsize=16)
def _accept_statement(send_table: SendTable, on_postgresql: bool) -> sa.Update:
    """What becomes of nearly all, written in half the time: acceptances of rows that still stand where
    they were claimed, and have no other. What it does not meet is for `_record_statement`."""
    t, v = send_table.table, _results_subquery(on_postgresql)
    return (
        sa.update(t)
        .where(t.c.id == v.c.row_id, _is_current_attempt(t, v), t.c.wamid.is_(None))
        .values(
            state=MessageState.ACCEPTED,
            wamid=v.c.wamid,
            accepted_at=sa.func.coalesce(t.c.accepted_at, db_now()),
            error_code=None,  # of an earlier attempt
            error_detail=None,
        )
    )


def _results_subquery(on_postgresql: bool) -> sa.Subquery:
    """OFFSET 0 keeps it whole: else SQLite would read the JSON again at each mention of a cell."""
    rows = json_table(sa.bindparam("rows", type_=sa.Text), on_postgresql, **RESULT_COLUMNS)
    return sa.select(rows).offset(0).subquery("results")


def _is_current_attempt(t: sa.Table, v: sa.FromClause) -> sa.ColumnElement[bool]:
    """Whether a result is that of the attempt at which the row stands."""
    return sa.and_(
        t.c.state.in_(IN_FLIGHT),
        t.c.attempt == v.c.attempt,
        sa.or_(v.c.token.is_(None), v.c.token == t.c.claim_token),
    )


@lru_cache(maxsize=16)
def _record_statement(send_table: SendTable, on_postgresql: bool) -> Any:
    t = send_table.table
    v = _results_subquery(on_postgresql)
    window_s = sa.bindparam("doubt_window_s", type_=sa.Float)
    is_current = _is_current_attempt(t, v)
    return send_table.returning(
        sa.update(t)
        .where(t.c.id == v.c.row_id)
        .values(
            state=sa.case((is_current, v.c.state), else_=t.c.state),
            attempt=sa.case(
                (sa.and_(is_current, v.c.unsent == 1), t.c.attempt - 1), else_=t.c.attempt
            ),
            due_at=sa.case(
                (sa.and_(is_current, v.c.state == MessageState.QUEUED), db_now(v.c.retry_in_s)),
                else_=t.c.due_at,
            ),
            doubt_until=sa.case(
                (sa.and_(is_current, v.c.state == MessageState.UNKNOWN), db_now(window_s)),
                else_=t.c.doubt_until,
            ),
            wamid=sa.func.coalesce(t.c.wamid, v.c.wamid),
            error_code=sa.case((is_current, v.c.error_code), else_=t.c.error_code),
            error_detail=sa.case((is_current, v.c.error_detail), else_=t.c.error_detail),
            accepted_at=sa.case(
                (v.c.state == MessageState.ACCEPTED, sa.func.coalesce(t.c.accepted_at, db_now())),
                else_=t.c.accepted_at,
            ),
            failed_at=sa.case(
                (sa.and_(is_current, v.c.state == MessageState.FAILED), db_now()),
                else_=t.c.failed_at,
            ),
        )
    )


RESULT_COLUMNS: dict[str, sa.types.TypeEngine[Any]] = {
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


def _result_rows(results: Iterable[DeliveryResult]) -> list[tuple[object, ...]]:
    """In the order of RESULT_COLUMNS."""
    return [
        (
            o.row_id,
            o.attempt,
            STATE_OF_RESULT[o.result],
            sanitize_text(o.wamid),
            o.error_code,
            sanitize_text(o.error_detail, 500),
            o.retry_in_s,
            int(o.result is ResultKind.UNSENT),
            o.token,
        )
        for o in results
    ]


def count_results(send_table: SendTable, results: Sequence[DeliveryResult]) -> None:
    for result, number in Counter(result.result for result in results).items():
        count("deliveries", number, ledger=send_table.table.name, result=result)


def find_double_acceptances(
    connection: sa.Connection, send_table: SendTable, results: Sequence[DeliveryResult]
) -> list[DeliveryResult]:
    """Acceptances that are not the row's own: another attempt was accepted too."""
    accepted = {
        (o.row_id, sanitize_text(o.wamid)): o for o in results if o.result is ResultKind.ACCEPTED
    }
    if not accepted:
        return []
    t = send_table.table
    v = json_rows(connection, _result_rows(accepted.values()), **RESULT_COLUMNS)
    rows = connection.execute(
        sa.select(t.c.id, v.c.wamid)
        .join(v, v.c.row_id == t.c.id)
        .where(t.c.wamid.is_not(None), t.c.wamid != v.c.wamid)
    )
    return [accepted[row.id, row.wamid] for row in rows]
