"""Path of the status queue: statuses and account events, applied in bulk.

Statuses arrive by the thousand, so they are applied in the transaction that splits their bodies and are
stored as updates only if that fails. Updates of messages found in these bodies go to the message queue.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec
import sqlalchemy as sa

from chatbot.campaigns.sending.send_table import SEND_TABLE as RECIPIENTS
from chatbot.campaigns.sending.send_table import list_campaign_ids
from chatbot.channels.models import Channel
from chatbot.channels.service import ensure_default_channel, load_our_numbers, set_display_phone
from chatbot.contacts.reachability import record_bsuids
from chatbot.conversations.replies import REPLY_SEND_TABLE as REPLIES
from chatbot.conversations.replies import find_conversation_ids
from chatbot.core import clock
from chatbot.core.db import db, read_only
from chatbot.core.live_events import LiveEventKind, publish_now
from chatbot.delivery.installation import get_installation_id
from chatbot.delivery.receipts import Receipt, advance_watermark, apply_receipts
from chatbot.webhooks.account_effects import apply_account_event
from chatbot.webhooks.counts import add_counts
from chatbot.webhooks.events import Event, StatusReceived
from chatbot.webhooks.models import WaitingStatus, WebhookQueue
from chatbot.webhooks.parsing.values import UnreadableUpdate
from chatbot.webhooks.queues import (
    ClaimedUpdate,
    delete_applied,
    quarantine_update,
)
from chatbot.webhooks.splitter import (
    ParsedRow,
    SplitResult,
    build_rows,
    count_updates,
    insert_rows,
    make_result,
    quarantine_unreadable,
    split_bodies,
    store_one_by_one,
    take_bodies,
)

SEND_TABLES = (REPLIES, RECIPIENTS)
FOREIGN_STATUS = "status:foreign"  # kind under which statuses of others are counted
LIVE_EVENT_SOURCES = (
    (REPLIES.prefix, LiveEventKind.CONVERSATION, find_conversation_ids),
    (RECIPIENTS.prefix, LiveEventKind.CAMPAIGN, list_campaign_ids),
)


def split_status_bodies() -> SplitResult:
    """Split the new bodies of this queue and apply their statuses.

    After an attempt that ended its worker they are stored as updates, which have attempts of their own.
    """
    return split_bodies(WebhookQueue.STATUSES, _apply_bodies)


def _apply_bodies(parsed_rows: Sequence[ParsedRow]) -> SplitResult:
    """Apply the statuses of bodies and store their other updates, in one transaction."""
    try:
        with db.engine.begin() as connection:
            ours = take_bodies(connection, parsed_rows)
            statuses, others = _separate_statuses(ours)
            rows = build_rows(others)
            insert_rows(connection, rows)
            quarantine_unreadable(connection, ours)
            if statuses:
                apply_status_events(connection, statuses)
            count_updates(connection, ours)
    except Exception:  # find the body, and then the update, that breaks the batch
        return store_one_by_one(parsed_rows)
    result = make_result(parsed_rows, rows)
    result.applied = statuses
    return result


def _separate_statuses(
    parsed_rows: Sequence[ParsedRow],
) -> tuple[list[StatusReceived], list[ParsedRow]]:
    """Return the statuses of bodies, and the bodies without them."""
    statuses: list[StatusReceived] = []
    others = []
    for body, parsed in parsed_rows:
        statuses += [e for e in parsed.events if isinstance(e, StatusReceived)]
        rest: list[Event] = [e for e in parsed.events if not isinstance(e, StatusReceived)]
        others.append((body, replace(parsed, events=rest)))
    return statuses, others


def apply_statuses(updates: Sequence[ClaimedUpdate]) -> None:
    """Apply a batch of updates of this queue in one transaction."""
    statuses = [u.event for u in updates if isinstance(u.event, StatusReceived)]
    others = [u for u in updates if not isinstance(u.event, StatusReceived)]
    if others:
        ensure_default_channel()
    done = [u.id for u in updates if isinstance(u.event, StatusReceived)]
    with db.engine.begin() as connection:
        apply_status_events(connection, statuses)
        for update in others:
            try:
                apply_account_event(connection, update.event)  # type: ignore[arg-type]
                done.append(update.id)
            except UnreadableUpdate as error:
                quarantine_update(connection, update.id, str(error))
        delete_applied(connection, done)
    publish_status_events(statuses)


def apply_status_events(connection: sa.Connection, statuses: Sequence[StatusReceived]) -> None:
    """Apply statuses to messages and recipients. Call `publish_status_events` after the commit.

    Statuses of other numbers, and of rows of another installation, are only counted.
    """
    ours = _select_ours(connection, statuses)
    if len(ours) < len(statuses):
        add_counts(connection, {FOREIGN_STATUS: len(statuses) - len(ours)})
    unknown = apply_receipts(connection, SEND_TABLES, [status.receipt for status in ours])
    _store_waiting(connection, unknown)
    _record_user_ids(connection, ours)


def _select_ours(
    connection: sa.Connection, statuses: Sequence[StatusReceived]
) -> Sequence[StatusReceived]:
    """Return the statuses of messages that this installation, or another program, sent by our numbers."""
    if not statuses:
        return statuses
    installation = get_installation_id(connection)
    known = load_our_numbers(connection)
    ours = [
        status
        for status in statuses
        if known.include(status.number, status.account) and _names(status, installation)
    ]
    phones = {s.number: s.display_phone for s in ours if s.number in known.nameless}
    for number, phone in phones.items():
        set_display_phone(connection, number, phone)
    return ours


def _names(status: StatusReceived, installation: str) -> bool:
    """Whether the status names a row of this installation, or none."""
    callback = status.receipt.callback
    return callback is None or callback.installation == installation


def publish_status_events(statuses: Sequence[StatusReceived]) -> None:
    """Notify the live pages that show the messages of these statuses."""
    _publish_receipts([status.receipt for status in statuses])


def _record_user_ids(connection: sa.Connection, statuses: Sequence[StatusReceived]) -> None:
    pairs = {status.wa_id: status.bsuid for status in statuses if status.wa_id and status.bsuid}
    if pairs:
        record_bsuids(connection, pairs)


def _store_waiting(connection: sa.Connection, receipts: Sequence[Receipt]) -> None:
    """Keep the statuses of unknown messages.

    A status may arrive before the response to its send, or be of another program's message.
    """
    if receipts:
        now = clock.now()
        rows = [{"wamid": r.wamid, "payload": _encode(r), "received_at": now} for r in receipts]
        connection.execute(sa.insert(WaitingStatus), rows)


def apply_waiting_statuses(limit: int = 500) -> int:
    """Apply the waiting statuses whose message is known by now, and return how many there were."""
    with db.engine.begin() as connection:
        known = sa.or_(
            *(
                sa.exists().where(send_table.table.c.wamid == WaitingStatus.wamid)
                for send_table in SEND_TABLES
            )
        )
        rows = connection.execute(
            sa.select(WaitingStatus.id, WaitingStatus.payload).where(known).limit(limit)
        ).all()
        if not rows:
            return 0
        receipts = [_decode(row.payload) for row in rows]
        apply_receipts(connection, SEND_TABLES, receipts)
        connection.execute(
            sa.delete(WaitingStatus).where(WaitingStatus.id.in_([row.id for row in rows]))
        )
    _publish_receipts(receipts)
    return len(rows)


def _publish_receipts(receipts: Sequence[Receipt]) -> None:
    """Publish one live event for each conversation and campaign of the batch.

    A receipt without a callback id names no row; its page shows it at the next periodic refresh.
    """
    for prefix, kind, list_owner_ids in LIVE_EVENT_SOURCES:
        row_ids = {
            r.callback.row_id for r in receipts if r.callback and r.callback.send_table == prefix
        }
        if row_ids:
            with read_only(), db.engine.connect() as connection:
                owners = list_owner_ids(connection, row_ids)
            publish_now(kind, owners)


def record_drained(seconds_ago: float) -> None:
    """Record that all bodies received until `seconds_ago` are applied.

    From then on a missing status means that Meta has sent none.
    """
    with db.engine.begin() as connection:
        ids = list(connection.scalars(sa.select(Channel.id)))
        advance_watermark(connection, ids, seconds_ago)


def _encode(receipt: Receipt) -> str:
    return msgspec.json.encode(receipt).decode()


def _decode(text: Any) -> Receipt:
    return msgspec.json.decode(text, type=Receipt)
