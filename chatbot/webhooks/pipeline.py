"""What an update does: a message is recorded, statuses lift the ledgers, the rest has its effect."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from flask import current_app

from chatbot.campaigns.attribution import attribute_answer
from chatbot.campaigns.sending.send_table import SEND_TABLE as RECIPIENTS
from chatbot.campaigns.sending.send_table import list_campaign_ids
from chatbot.channels.models import Channel
from chatbot.channels.service import ensure_default_channel, find_channel, update_display_phone
from chatbot.contacts.reachability import record_bsuids
from chatbot.conversations.inbound import record_inbound
from chatbot.conversations.models import Message
from chatbot.conversations.replies import REPLY_SEND_TABLE as REPLIES
from chatbot.conversations.replies import find_conversation_ids
from chatbot.core import clock
from chatbot.core.db import db, read_only
from chatbot.core.live_events import LiveEventKind, publish_now
from chatbot.delivery.receipts import Receipt, advance_watermark, apply_receipts
from chatbot.extensions import get_settings
from chatbot.webhooks import effects
from chatbot.webhooks.events import (
    ContactEvent,
    IdentityChanged,
    MessageReceived,
    PreferenceChanged,
    StatusReceived,
)
from chatbot.webhooks.models import WaitingStatus
from chatbot.webhooks.parsing.values import UnreadableUpdate
from chatbot.webhooks.queues import (
    ClaimedUpdate,
    delete_applied,
    quarantine_update,
    retry_or_quarantine,
)

log = logging.getLogger(__name__)

SEND_TABLES = (REPLIES, RECIPIENTS)
LIVE_EVENT_SOURCES = (
    (REPLIES.prefix, LiveEventKind.CONVERSATION, find_conversation_ids),
    (RECIPIENTS.prefix, LiveEventKind.CAMPAIGN, list_campaign_ids),
)


def drop_recorded(updates: Sequence[ClaimedUpdate]) -> list[ClaimedUpdate]:
    """Take the messages that are recorded already off the list, in two statements for all; returns the
    others. What slips through in a race meets the unique wamid."""
    wamids = {u.id: u.event.message.wamid for u in updates if isinstance(u.event, MessageReceived)}
    if not wamids:
        return list(updates)
    query = sa.select(Message.wamid).where(Message.wamid.in_(list(wamids.values())))
    with read_only(), db.engine.connect() as connection:
        recorded = set(connection.scalars(query))
    done = [update_id for update_id, wamid in wamids.items() if wamid in recorded]
    if done:
        with db.engine.begin() as connection:
            delete_applied(connection, done)
    gone = set(done)
    return [update for update in updates if update.id not in gone]


def apply_contact_update(update: ClaimedUpdate) -> None:
    """Apply what one person said or did, and take it off the list in the same transaction."""
    session = db.session
    try:
        _apply_event(update.event, update.has_more_queued)  # type: ignore[arg-type]
        delete_applied(session.connection(), [update.id])
        session.commit()
    except UnreadableUpdate as error:
        session.rollback()
        quarantine_update(session.connection(), update.id, str(error))
        session.commit()


def _apply_event(event: ContactEvent, has_more_queued: bool) -> None:
    channel = find_channel(event.number, event.account)
    if channel is None:
        raise UnreadableUpdate(f"phone_number_id {event.number or '(none)'} is not one of ours")
    match event:
        case MessageReceived():
            update_display_phone(channel, event.display_phone)
            row = record_inbound(
                channel, event.sender, event.message, has_more_queued=has_more_queued
            )
            if row is not None and event.message.opens_window:
                attribute_answer(row, get_settings(current_app).attribution_hours)
        case IdentityChanged():
            effects.apply_identity_change(channel, event)
        case PreferenceChanged():
            effects.apply_preference(event)


def record_failure(update: ClaimedUpdate, error: Exception) -> None:
    """An update that failed: counted already, so one that kills its worker is parked in the end."""
    db.session.rollback()
    log.exception("update %d failed (attempt %d)", update.id, update.attempts)
    with db.engine.begin() as connection:
        retry_or_quarantine(connection, update, f"{type(error).__name__}: {error}")


def apply_statuses(updates: Sequence[ClaimedUpdate]) -> None:
    """Apply a batch of the statuses' queue in one transaction."""
    statuses = [u.event for u in updates if isinstance(u.event, StatusReceived)]
    others = [u for u in updates if not isinstance(u.event, StatusReceived)]
    if others:
        ensure_default_channel()
    done = [u.id for u in updates if isinstance(u.event, StatusReceived)]
    with db.engine.begin() as connection:
        apply_status_events(connection, statuses)
        for update in others:
            try:
                effects.apply_account_event(connection, update.event)  # type: ignore[arg-type]
                done.append(update.id)
            except UnreadableUpdate as error:
                quarantine_update(connection, update.id, str(error))
        delete_applied(connection, done)
    publish_status_events(statuses)


def apply_status_events(connection: sa.Connection, statuses: Sequence[StatusReceived]) -> None:
    """What statuses say of messages and of their recipients; `tell` is for after the commit."""
    unknown = apply_receipts(connection, SEND_TABLES, [status.receipt for status in statuses])
    _store_waiting(connection, unknown)
    _learn_user_ids(connection, statuses)


def publish_status_events(statuses: Sequence[StatusReceived]) -> None:
    """Pages that show these messages look again."""
    _publish_receipts([status.receipt for status in statuses])


def _learn_user_ids(connection: sa.Connection, statuses: Sequence[StatusReceived]) -> None:
    pairs = {status.wa_id: status.bsuid for status in statuses if status.wa_id and status.bsuid}
    if pairs:
        record_bsuids(connection, pairs)


def _store_waiting(connection: sa.Connection, receipts: Sequence[Receipt]) -> None:
    """A status may overtake the answer of its send, or be of another program's message."""
    if receipts:
        now = clock.now()
        rows = [{"wamid": r.wamid, "payload": _encode(r), "received_at": now} for r in receipts]
        connection.execute(sa.insert(WaitingStatus), rows)


def apply_waiting_statuses(limit: int = 500) -> int:
    """Try the waiting statuses again whose message is known by now; returns how many went."""
    with db.engine.begin() as connection:
        known = sa.or_(
            *(
                sa.exists().where(ledger.table.c.wamid == WaitingStatus.wamid)
                for ledger in SEND_TABLES
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
    """Once for each conversation and campaign of the batch. A receipt that doesn't say whose row it is is
    seen when they look by themselves."""
    for ledger, kind, list_owner_ids in LIVE_EVENT_SOURCES:
        row_ids = {
            r.callback.row_id for r in receipts if r.callback and r.callback.send_table == ledger
        }
        if row_ids:
            with read_only(), db.engine.connect() as connection:
                owners = list_owner_ids(connection, row_ids)
            publish_now(kind, owners)


def record_drained(seconds_ago: float) -> None:
    """Nothing of what had come `seconds_ago` is left: from now on silence means something."""
    with db.engine.begin() as connection:
        ids = list(connection.scalars(sa.select(Channel.id)))
        advance_watermark(connection, ids, seconds_ago)


def _encode(receipt: Receipt) -> str:
    return msgspec.json.encode(receipt).decode()


def _decode(text: Any) -> Receipt:
    return msgspec.json.decode(text, type=Receipt)
