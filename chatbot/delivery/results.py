"""Results of attempts: from the provider's answer to the row, one statement for a batch.

The functions take a connection and leave the commit to the caller.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from enum import StrEnum
from functools import lru_cache
from typing import Any

import msgspec
import sqlalchemy as sa

from chatbot.channels.gateway import Accepted, Doubtful, GatewayAnswer, Refused, Unreachable
from chatbot.channels.whatsapp.errors import ErrorPolicy, get_error_policy
from chatbot.core.db import db_now, is_postgresql, sanitize_text
from chatbot.core.db.bulk_sql import encode_rows, json_rows, json_table
from chatbot.core.metrics import count
from chatbot.delivery.models import IN_FLIGHT, MessageState
from chatbot.delivery.outbound import OutboundMessage
from chatbot.delivery.send_table import SendTable

MAX_ATTEMPTS = 5
UNREACHABLE_RETRY_S = 3.0
SLOW_DOWN_RETRY_S = 2.0

# Errors that make every further send of the same kind pointless.
HALTING_POLICIES = frozenset({ErrorPolicy.TEMPLATE, ErrorPolicy.STOP, ErrorPolicy.TOKEN})


class ResultKind(StrEnum):
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


class SendResult(msgspec.Struct, frozen=True, kw_only=True):
    """Result of one attempt at one row.

    `token` is the claim's: an attempt that was given back and claimed again has the same number.
    `wa_id` is the recipient's WhatsApp id, where it differs from the address we sent to.
    """

    row_id: int
    attempt: int
    kind: ResultKind
    token: str | None = None
    wamid: str | None = None
    wa_id: str | None = None
    policy: ErrorPolicy | None = None
    error_code: int | None = None
    error_detail: str | None = None
    retry_in_s: float = 0.0


def classify_answer(answer: GatewayAnswer, message: OutboundMessage) -> SendResult:
    """Return the result that the provider's answer means for the message's row."""
    match answer:
        case Accepted(wamid, wa_id):
            known = wa_id == message.to
            new_wa_id = None if known else sanitize_text(wa_id, 80)
            return _make_result(message, ResultKind.ACCEPTED, wamid=wamid, wa_id=new_wa_id)
        case Doubtful(reason):
            return _make_result(message, ResultKind.DOUBT, error_detail=reason)
        case Unreachable(reason):
            return unsent_result(message, UNREACHABLE_RETRY_S, reason)
        case Refused():
            return _classify_refusal(answer, message)


def unsent_result(
    message: OutboundMessage, retry_in_s: float = 0.0, detail: str | None = None
) -> SendResult:
    return _make_result(message, ResultKind.UNSENT, error_detail=detail, retry_in_s=retry_in_s)


def unrenderable_result(message: OutboundMessage) -> SendResult:
    return _make_result(message, ResultKind.FAILED, error_detail=message.error)


def _classify_refusal(refusal: Refused, message: OutboundMessage) -> SendResult:
    policy = get_error_policy(refusal.code, refusal.status)
    kind, retry_in_s = ResultKind.FAILED, 0.0
    if policy in HALTING_POLICIES:
        kind = ResultKind.UNSENT  # sent once a person has fixed the cause
    elif policy is ErrorPolicy.SLOW:
        kind, retry_in_s = ResultKind.UNSENT, refusal.retry_after_s or SLOW_DOWN_RETRY_S
    elif policy in (ErrorPolicy.RETRY, ErrorPolicy.PAIR) and message.attempt < MAX_ATTEMPTS:
        kind, retry_in_s = ResultKind.RETRY, _backoff_s(policy, message.attempt)
    return _make_result(
        message,
        kind,
        policy=policy,
        error_code=refusal.code,
        error_detail=refusal.detail,
        retry_in_s=retry_in_s,
    )


def _backoff_s(policy: ErrorPolicy, attempt: int) -> float:
    """Double each wait; for the pair limit wait 4^n seconds, as Meta says of error 131056."""
    base = 4.0 if policy is ErrorPolicy.PAIR else 2.0
    return float(base**attempt) * random.uniform(0.8, 1.2)


def _make_result(message: OutboundMessage, kind: ResultKind, **fields: Any) -> SendResult:
    return SendResult(
        row_id=message.row_id, attempt=message.attempt, token=message.token, kind=kind, **fields
    )


def record_results(
    connection: sa.Connection,
    send_table: SendTable,
    results: Sequence[SendResult],
    doubt_window_s: float,
) -> list[SendResult]:
    """Write the results of a batch in one statement; return the double acceptances.

    A wamid is stored in any state, since the status may have come first. The state moves only from
    `sending` or `unknown`, and only for the row's current attempt. A double acceptance is one whose
    wamid is not the row's: another attempt was accepted too, so the person got the message twice.
    """
    on_postgresql = is_postgresql(connection)
    values = {"rows": encode_rows(_result_rows(results)), "doubt_window_s": doubt_window_s}
    if send_table.cache_tag_column is None and all(o.kind is ResultKind.ACCEPTED for o in results):
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
        if o.kind is ResultKind.ACCEPTED and wamids.get(o.row_id, o.wamid) != sanitize_text(o.wamid)
    ]


@lru_cache(maxsize=16)
def _accept_statement(send_table: SendTable, on_postgresql: bool) -> sa.Update:
    """Build the statement of the usual case, in half the time of `_record_statement`.

    It meets acceptances of rows that are as they were claimed and have no other wamid.
    """
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
    """Keep the subquery whole by OFFSET 0: else SQLite parses the JSON again for each cell used."""
    rows = json_table(sa.bindparam("rows", type_=sa.Text), on_postgresql, **RESULT_COLUMNS)
    return sa.select(rows).offset(0).subquery("results")


def _is_current_attempt(t: sa.Table, v: sa.FromClause) -> sa.ColumnElement[bool]:
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


def _result_rows(results: Iterable[SendResult]) -> list[tuple[object, ...]]:
    """Return the rows in the order of RESULT_COLUMNS."""
    return [
        (
            o.row_id,
            o.attempt,
            STATE_OF_RESULT[o.kind],
            sanitize_text(o.wamid),
            o.error_code,
            sanitize_text(o.error_detail, 500),
            o.retry_in_s,
            int(o.kind is ResultKind.UNSENT),
            o.token,
        )
        for o in results
    ]


def count_results(send_table: SendTable, results: Sequence[SendResult]) -> None:
    for kind, number in Counter(result.kind for result in results).items():
        count("deliveries", number, ledger=send_table.table.name, result=kind)


def find_double_acceptances(
    connection: sa.Connection, send_table: SendTable, results: Sequence[SendResult]
) -> list[SendResult]:
    """Return the acceptances whose wamid is not the row's: another attempt was accepted too."""
    accepted = {
        (o.row_id, sanitize_text(o.wamid)): o for o in results if o.kind is ResultKind.ACCEPTED
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
