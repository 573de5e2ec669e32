"""Status updates from Meta, applied to the ledgers: forward only, a thousand in a few statements."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa

from chatbot.core.db import db_now, storable, upsert
from chatbot.core.rows import json_rows
from chatbot.delivery.callback import CallbackId
from chatbot.delivery.consequences import draw_consequences, fresh_failures
from chatbot.delivery.evidence import Evidence, apply_evidence
from chatbot.delivery.ledger import Ledger
from chatbot.delivery.models import DoubleAcceptance, ReceiptWatermark
from chatbot.delivery.outcomes import Outcome, find_superseded
from chatbot.delivery.outcomes import Result as SendResult
from chatbot.delivery.states import RANK, State

_MOMENT = {
    State.SENT: "sent_at",
    State.DELIVERED: "delivered_at",
    State.READ: "read_at",
    State.FAILED: "failed_at",
}


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """One status of one message. `callback` is None where another program sent the message."""

    wamid: str
    state: State
    happened_at: datetime
    callback: CallbackId | None = None
    error_code: int | None = None
    error_detail: str | None = None


def apply_receipts(
    connection: sa.Connection, ledgers: Sequence[Ledger], receipts: Sequence[Receipt]
) -> list[Receipt]:
    """Apply all; returns those whose message is not known (yet)."""
    known = _named_by_wamid(connection, ledgers, [r for r in receipts if r.callback is None])
    receipts = [
        r if r.callback else msgspec.structs.replace(r, callback=known.get(r.wamid))
        for r in receipts
    ]
    unknown = [r for r in receipts if r.callback is None]
    for ledger in ledgers:
        own = [r for r in receipts if r.callback and r.callback.ledger == ledger.prefix]
        if own:
            evidence = merge(own)
            failures = fresh_failures(connection, ledger, evidence)
            found = apply_evidence(connection, ledger, evidence)
            report_doubles(connection, ledger, _doubles(connection, ledger, own, found))
            draw_consequences(connection, ledger, evidence, failures)
            unknown += [r for r in own if r.callback and r.callback.row_id not in found]
    return unknown


def merge(receipts: Iterable[Receipt]) -> list[Evidence]:
    """One piece of evidence per row: an UPDATE must meet a row once."""
    rows: dict[int, Evidence] = {}
    for r in receipts:
        if r.callback is None:
            continue
        evidence = rows.get(r.callback.row_id)
        if evidence is None:
            evidence = rows[r.callback.row_id] = Evidence(
                row_id=r.callback.row_id,
                attempt=r.callback.attempt,
                wamid=r.wamid,
                state=State.ACCEPTED,
            )
        _add(evidence, r)
    return list(rows.values())


def _add(evidence: Evidence, r: Receipt) -> None:
    if RANK[r.state] > RANK[evidence.state]:
        evidence.state = r.state
    moment = _MOMENT[r.state]
    earlier = getattr(evidence, moment)
    if earlier is None or r.happened_at < earlier:
        setattr(evidence, moment, r.happened_at)
    if r.error_code is not None:
        evidence.error_code, evidence.error_detail = r.error_code, (r.error_detail or "")[:500]


def _named_by_wamid(
    connection: sa.Connection, ledgers: Sequence[Ledger], receipts: Sequence[Receipt]
) -> dict[str, CallbackId]:
    wamids = sorted({r.wamid for r in receipts})
    if not wamids:
        return {}
    found = {}
    v = json_rows(connection, [(w,) for w in wamids], wamid=sa.String(255))
    for ledger in ledgers:
        t = ledger.table
        query = sa.select(t.c.wamid, t.c.id, t.c.attempt).where(
            t.c.wamid.in_(sa.select(v.c.wamid)), t.c.state.is_not(None)
        )
        for wamid, row_id, attempt in connection.execute(query):
            found[wamid] = CallbackId(ledger.prefix, row_id, attempt)
    return found


def _doubles(
    connection: sa.Connection,
    ledger: Ledger,
    receipts: Iterable[Receipt],
    wamids: Mapping[int, str],
) -> list[Outcome]:
    """Each status proves that its attempt was accepted, and one batch may name two attempts of a row.
    `wamids` are those of the rows that the statuses met; the others are asked for."""
    proven = {(r.callback.row_id, storable(r.wamid)): r for r in receipts if r.callback}
    met = [r for (row_id, wamid), r in proven.items() if wamids.get(row_id, wamid) != wamid]
    unmet = [r for (row_id, _), r in proven.items() if row_id not in wamids]
    found = find_superseded(connection, ledger, _acceptances(unmet)) if unmet else []
    return [*_acceptances(met), *found]


def _acceptances(receipts: Iterable[Receipt]) -> list[Outcome]:
    return [
        Outcome(
            row_id=r.callback.row_id,
            attempt=r.callback.attempt,
            result=SendResult.ACCEPTED,
            wamid=r.wamid,
        )
        for r in receipts
        if r.callback is not None
    ]


def report_doubles(connection: sa.Connection, ledger: Ledger, doubles: Iterable[Outcome]) -> None:
    """Keep, as an alarm, each acceptance of a row that has another one."""
    for double in doubles:
        connection.execute(
            upsert(connection, DoubleAcceptance)
            .values(
                ledger=ledger.prefix,
                row_id=double.row_id,
                attempt=double.attempt,
                wamid=double.wamid,
                seen_at=db_now(),
            )
            .on_conflict_do_nothing()
        )


def mark_drained(connection: sa.Connection, channel_ids: Sequence[int], seconds_ago: float) -> None:
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


def never_sent(ledger: Ledger, channel_id: Any, flowing: sa.ColumnElement[bool]) -> Any:
    """Proof, in SQL, that a row in doubt was not sent: webhooks flow, and none names it.

    All that came until after the row's window has been applied, and `flowing` says that what other rows
    were owed has come (see `webhooks_flow`).
    """
    t = ledger.table
    drained = sa.exists().where(
        ReceiptWatermark.channel_id == channel_id,
        ReceiptWatermark.drained_at > t.c.doubt_until,
    )
    return sa.and_(drained, flowing)


def webhooks_flow(ledger: Ledger, within: Callable[[Any], sa.ColumnElement[bool]]) -> Any:
    """Of the rows that `within` allows (given an alias of the ledger), one that was accepted after the
    row in doubt was claimed has had its status, and none that was accepted before its window ended
    still waits for one: after an outage Meta tells the old and the new in any order."""
    t = ledger.table
    later, waiting = t.alias("later"), t.alias("waiting")
    claimed_at = t.c.claimed_until  # at the latest; later is the stricter proof
    told = sa.exists().where(
        within(later), later.c.accepted_at >= claimed_at, later.c.sent_at.is_not(None)
    )
    untold = sa.exists().where(
        within(waiting),
        waiting.c.state == State.ACCEPTED,
        waiting.c.accepted_at <= t.c.doubt_until,
    )
    return sa.and_(told, ~untold)
