"""Receipts (statuses from Meta) applied to the send tables: forward only, a thousand in a few statements."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from datetime import datetime

import msgspec
import sqlalchemy as sa

from chatbot.core import clock
from chatbot.core.db import UtcDateTime, db_now, sanitize_text, timestamp_text, upsert
from chatbot.core.db.bulk_sql import json_rows
from chatbot.delivery.models import (
    RANK,
    DoubleAcceptance,
    MessageState,
    ReceiptWatermark,
    rank_expression,
)
from chatbot.delivery.outbound import CallbackId
from chatbot.delivery.results import ResultKind, SendResult, find_double_acceptances
from chatbot.delivery.send_table import DeliveryFailure, SendTable

_TIMESTAMP_COLUMN = {
    MessageState.SENT: "sent_at",
    MessageState.DELIVERED: "delivered_at",
    MessageState.READ: "read_at",
    MessageState.FAILED: "failed_at",
}
_REACHED_STATES = frozenset({MessageState.DELIVERED, MessageState.READ})


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """One status of one message. `callback` is None where another program sent the message."""

    wamid: str
    state: MessageState
    happened_at: datetime
    callback: CallbackId | None = None
    error_code: int | None = None
    error_detail: str | None = None


class RowProgress(msgspec.Struct, kw_only=True):
    """All receipts of a batch for one row: its furthest state, and the earliest time of each state."""

    row_id: int
    attempt: int
    wamid: str
    state: MessageState = MessageState.ACCEPTED
    sent_at: datetime | None = None
    delivered_at: datetime | None = None
    read_at: datetime | None = None
    failed_at: datetime | None = None
    error_code: int | None = None
    error_detail: str | None = None

    def add(self, r: Receipt) -> None:
        if RANK[r.state] > RANK[self.state]:
            self.state = r.state
        column = _TIMESTAMP_COLUMN[r.state]
        earlier = getattr(self, column)
        if earlier is None or r.happened_at < earlier:
            setattr(self, column, r.happened_at)
        if r.error_code is not None and r.wamid == self.wamid:  # else it is a second message's
            self.error_code, self.error_detail = r.error_code, (r.error_detail or "")[:500]


def apply_receipts(
    connection: sa.Connection, send_tables: Sequence[SendTable], receipts: Sequence[Receipt]
) -> list[Receipt]:
    """Apply all receipts; return those whose message is not known (yet)."""
    known = _find_callback_ids(connection, send_tables, [r for r in receipts if r.callback is None])
    receipts = [
        r if r.callback else msgspec.structs.replace(r, callback=known.get(r.wamid))
        for r in receipts
    ]
    unknown = [r for r in receipts if r.callback is None]
    for send_table in send_tables:
        own = [r for r in receipts if r.callback and r.callback.send_table == send_table.prefix]
        if own:
            progress = _merge_receipts(own)
            failures = _find_new_failures(connection, send_table, progress)
            found = _apply_progress(connection, send_table, progress)
            record_double_acceptances(
                connection, send_table, _find_double_acceptances(connection, send_table, own, found)
            )
            proven = {p.row_id for p in progress if found.get(p.row_id) == sanitize_text(p.wamid)}
            _apply_side_effects(connection, send_table, progress, failures, proven)
            unknown += [r for r in own if r.callback and r.callback.row_id not in found]
    return unknown


def _find_callback_ids(
    connection: sa.Connection, send_tables: Sequence[SendTable], receipts: Sequence[Receipt]
) -> dict[str, CallbackId]:
    wamids = sorted({r.wamid for r in receipts})
    if not wamids:
        return {}
    found = {}
    v = json_rows(connection, [(w,) for w in wamids], wamid=sa.String(255))
    for send_table in send_tables:
        t = send_table.table
        query = sa.select(t.c.wamid, t.c.id, t.c.attempt).where(
            t.c.wamid.in_(sa.select(v.c.wamid)), t.c.state.is_not(None)
        )
        for wamid, row_id, attempt in connection.execute(query):
            found[wamid] = CallbackId(send_table.prefix, row_id, attempt)
    return found


def _merge_receipts(receipts: Iterable[Receipt]) -> list[RowProgress]:
    """Merge the receipts of each row, since an UPDATE must meet a row once."""
    rows: dict[int, RowProgress] = {}
    for r in receipts:
        if r.callback is None:
            continue
        row_id = r.callback.row_id
        progress = rows.get(row_id)
        if progress is None:
            progress = rows[row_id] = RowProgress(
                row_id=row_id, attempt=r.callback.attempt, wamid=r.wamid
            )
        progress.add(r)
    return list(rows.values())


def _apply_progress(
    connection: sa.Connection, send_table: SendTable, progress: Sequence[RowProgress]
) -> dict[int, str]:
    """Advance rows, in one statement for all; return the wamid of each row that exists.

    A receipt proves its attempt in any state of the row: it settles a row in doubt, too. A second message
    of the row changes nothing; the caller records it.
    """
    t = send_table.table
    v = _progress_rows(connection, progress)
    is_its_own = sa.or_(t.c.wamid.is_(None), t.c.wamid == v.c.wamid)
    has_error = sa.and_(is_its_own, v.c.error_code.is_not(None))
    advances = sa.and_(is_its_own, rank_expression(v.c.state) > rank_expression(t.c.state))
    timestamps = {
        name: sa.case((is_its_own, sa.func.coalesce(t.c[name], v.c[name])), else_=t.c[name])
        for name in ("sent_at", "delivered_at", "read_at", "failed_at")
    }
    found = send_table.update(
        connection,
        sa.update(t)
        .where(t.c.id == v.c.row_id, t.c.attempt >= v.c.attempt)
        .values(
            state=sa.case((advances, v.c.state), else_=t.c.state),
            wamid=sa.func.coalesce(t.c.wamid, v.c.wamid),
            accepted_at=sa.func.coalesce(t.c.accepted_at, v.c.sent_at, db_now()),
            error_code=sa.case((has_error, v.c.error_code), else_=t.c.error_code),
            error_detail=sa.case((has_error, v.c.error_detail), else_=t.c.error_detail),
            **timestamps,
        ),
    )
    return {row.id: row.wamid for row in found}


def _progress_rows(connection: sa.Connection, progress: Sequence[RowProgress]) -> sa.Subquery:
    rows = [
        (
            p.row_id,
            p.attempt,
            sanitize_text(p.wamid),
            p.state,
            timestamp_text(p.sent_at),
            timestamp_text(p.delivered_at),
            timestamp_text(p.read_at),
            timestamp_text(p.failed_at),
            p.error_code,
            sanitize_text(p.error_detail, 500),
        )
        for p in progress
    ]
    return json_rows(
        connection,
        rows,
        row_id=sa.BigInteger(),
        attempt=sa.Integer(),
        wamid=sa.String(255),
        state=sa.String(10),
        sent_at=UtcDateTime(),
        delivered_at=UtcDateTime(),
        read_at=UtcDateTime(),
        failed_at=UtcDateTime(),
        error_code=sa.Integer(),
        error_detail=sa.String(500),
    )


def _find_new_failures(
    connection: sa.Connection, send_table: SendTable, progress: Sequence[RowProgress]
) -> list[DeliveryFailure]:
    """Return the failures that no row has yet; call it before they are written.

    Each failure counts once, however often Meta repeats its status: `failed_at` is NULL before.
    """
    failed_rows = {
        p.row_id: p for p in progress if p.state is MessageState.FAILED and p.error_code is not None
    }
    if not failed_rows or send_table.side_effects is None:
        return []
    t = send_table.table
    new_ids = connection.scalars(
        sa.select(t.c.id).where(t.c.id.in_(list(failed_rows)), t.c.failed_at.is_(None))
    )
    return [
        DeliveryFailure(
            row_id=p.row_id,
            code=p.error_code or 0,
            detail=p.error_detail or "",
            happened_at=p.failed_at or clock.now(),
        )
        for p in (failed_rows[row_id] for row_id in new_ids)
    ]


def _apply_side_effects(
    connection: sa.Connection,
    send_table: SendTable,
    progress: Sequence[RowProgress],
    failures: Sequence[DeliveryFailure],
    proven: Container[int],
) -> None:
    """Apply what follows from failures and deliveries of rows in `proven`, whose own message it was."""
    if send_table.side_effects is None:
        return
    failures = [failure for failure in failures if failure.row_id in proven]
    if failures:
        send_table.side_effects.on_failed(connection, failures)
    reached = [p.row_id for p in progress if p.state in _REACHED_STATES and p.row_id in proven]
    if reached:
        send_table.side_effects.on_reached(connection, reached)


def _find_double_acceptances(
    connection: sa.Connection,
    send_table: SendTable,
    receipts: Iterable[Receipt],
    wamids: Mapping[int, str],
) -> list[SendResult]:
    """Return the second acceptances of rows; `wamids` are those of the rows that were updated."""
    proven = {(r.callback.row_id, sanitize_text(r.wamid)): r for r in receipts if r.callback}
    met = [r for (row_id, wamid), r in proven.items() if wamids.get(row_id, wamid) != wamid]
    unmet = [r for (row_id, _), r in proven.items() if row_id not in wamids]
    found = (
        find_double_acceptances(connection, send_table, _accepted_results(unmet)) if unmet else []
    )
    return [*_accepted_results(met), *found]


def _accepted_results(receipts: Iterable[Receipt]) -> list[SendResult]:
    return [
        SendResult(
            row_id=r.callback.row_id,
            attempt=r.callback.attempt,
            kind=ResultKind.ACCEPTED,
            wamid=r.wamid,
        )
        for r in receipts
        if r.callback is not None
    ]


def record_double_acceptances(
    connection: sa.Connection, send_table: SendTable, doubles: Iterable[SendResult]
) -> None:
    """Keep each second acceptance of a row, as an alarm."""
    for double in doubles:
        connection.execute(
            upsert(connection, DoubleAcceptance)
            .values(
                send_table=send_table.prefix,
                row_id=double.row_id,
                attempt=double.attempt,
                wamid=double.wamid,
                seen_at=db_now(),
            )
            .on_conflict_do_nothing()
        )


def advance_watermark(
    connection: sa.Connection, channel_ids: Sequence[int], seconds_ago: float
) -> None:
    """Record that all statuses which had come `seconds_ago`, by the database's clock, are applied."""
    for channel_id in channel_ids:
        statement = upsert(connection, ReceiptWatermark).values(
            channel_id=channel_id, drained_at=db_now(-seconds_ago)
        )
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=["channel_id"], set_={"drained_at": statement.excluded.drained_at}
            )
        )
