"""Status updates from Meta, applied to the ledgers: forward only, a thousand in a few statements."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa

from chatbot.core.db import db_now, sanitize_text, upsert
from chatbot.core.db.bulk_sql import json_rows
from chatbot.delivery.callback import CallbackId
from chatbot.delivery.models import DoubleAcceptance, ReceiptWatermark
from chatbot.delivery.progress import RowProgress, apply_progress
from chatbot.delivery.results import DeliveryResult, find_double_acceptances
from chatbot.delivery.results import ResultKind as SendResult
from chatbot.delivery.send_table import SendTable
from chatbot.delivery.side_effects import apply_side_effects, find_new_failures
from chatbot.delivery.states import RANK, MessageState

_TIMESTAMP_COLUMN = {
    MessageState.SENT: "sent_at",
    MessageState.DELIVERED: "delivered_at",
    MessageState.READ: "read_at",
    MessageState.FAILED: "failed_at",
}


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """One status of one message. `callback` is None where another program sent the message."""

    wamid: str
    state: MessageState
    happened_at: datetime
    callback: CallbackId | None = None
    error_code: int | None = None
    error_detail: str | None = None


def apply_receipts(
    connection: sa.Connection, send_tables: Sequence[SendTable], receipts: Sequence[Receipt]
) -> list[Receipt]:
    """Apply all; returns those whose message is not known (yet)."""
    known = _find_callback_ids(connection, send_tables, [r for r in receipts if r.callback is None])
    receipts = [
        r if r.callback else msgspec.structs.replace(r, callback=known.get(r.wamid))
        for r in receipts
    ]
    unknown = [r for r in receipts if r.callback is None]
    for send_table in send_tables:
        own = [r for r in receipts if r.callback and r.callback.send_table == send_table.prefix]
        if own:
            progress = merge_receipts(own)
            failures = find_new_failures(connection, send_table, progress)
            found = apply_progress(connection, send_table, progress)
            record_double_acceptances(
                connection, send_table, _find_double_acceptances(connection, send_table, own, found)
            )
            apply_side_effects(connection, send_table, progress, failures)
            unknown += [r for r in own if r.callback and r.callback.row_id not in found]
    return unknown


def merge_receipts(receipts: Iterable[Receipt]) -> list[RowProgress]:
    """One piece of evidence per row: an UPDATE must meet a row once."""
    rows: dict[int, RowProgress] = {}
    for r in receipts:
        if r.callback is None:
            continue
        progress = rows.get(r.callback.row_id)
        if progress is None:
            progress = rows[r.callback.row_id] = RowProgress(
                row_id=r.callback.row_id,
                attempt=r.callback.attempt,
                wamid=r.wamid,
                state=MessageState.ACCEPTED,
            )
        _add_receipt(progress, r)
    return list(rows.values())


def _add_receipt(progress: RowProgress, r: Receipt) -> None:
    if RANK[r.state] > RANK[progress.state]:
        progress.state = r.state
    column = _TIMESTAMP_COLUMN[r.state]
    earlier = getattr(progress, column)
    if earlier is None or r.happened_at < earlier:
        setattr(progress, column, r.happened_at)
    if r.error_code is not None:
        progress.error_code, progress.error_detail = r.error_code, (r.error_detail or "")[:500]


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


def _find_double_acceptances(
    connection: sa.Connection,
    send_table: SendTable,
    receipts: Iterable[Receipt],
    wamids: Mapping[int, str],
) -> list[DeliveryResult]:
    """Each status proves that its attempt was accepted, and one batch may name two attempts of a row.
    `wamids` are those of the rows that the statuses met; the others are asked for."""
    proven = {(r.callback.row_id, sanitize_text(r.wamid)): r for r in receipts if r.callback}
    met = [r for (row_id, wamid), r in proven.items() if wamids.get(row_id, wamid) != wamid]
    unmet = [r for (row_id, _), r in proven.items() if row_id not in wamids]
    found = (
        find_double_acceptances(connection, send_table, _accepted_results(unmet)) if unmet else []
    )
    return [*_accepted_results(met), *found]


def _accepted_results(receipts: Iterable[Receipt]) -> list[DeliveryResult]:
    return [
        DeliveryResult(
            row_id=r.callback.row_id,
            attempt=r.callback.attempt,
            result=SendResult.ACCEPTED,
            wamid=r.wamid,
        )
        for r in receipts
        if r.callback is not None
    ]


def record_double_acceptances(
    connection: sa.Connection, send_table: SendTable, doubles: Iterable[DeliveryResult]
) -> None:
    """Keep, as an alarm, each acceptance of a row that has another one."""
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
    """All statuses that were there `seconds_ago` are applied; only now does a missing one mean
    something. By the database's clock, as the doubt windows are."""
    for channel_id in channel_ids:
        statement = upsert(connection, ReceiptWatermark).values(
            channel_id=channel_id, drained_at=db_now(-seconds_ago)
        )
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=["channel_id"], set_={"drained_at": statement.excluded.drained_at}
            )
        )


def proves_unsent(send_table: SendTable, channel_id: Any, receiving: sa.ColumnElement[bool]) -> Any:
    """Proof, in SQL, that a row in doubt was not sent: webhooks flow, and none names it.

    All that came until after the row's window has been applied, and `flowing` says that what other rows
    were owed has come (see `receives_statuses`).
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
    """Of the rows that `within` allows (given an alias of the ledger), one that was accepted after the
    row in doubt was claimed has had its status, and none that was accepted before its window ended
    still waits for one: after an outage Meta tells the old and the new in any order."""
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
