"""What an update does: a message is recorded, statuses lift the ledgers, the rest has its effect."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from flask import current_app

from chatbot.campaigns.attribution import attribute
from chatbot.campaigns.ledger import LEDGER as RECIPIENTS
from chatbot.campaigns.ledger import campaigns_of
from chatbot.channels.models import Channel
from chatbot.channels.service import ensure_default_channel, find_channel, note_display_phone
from chatbot.contacts.reachability import learn_user_ids
from chatbot.conversations.inbound import record_inbound
from chatbot.conversations.models import Message
from chatbot.conversations.replies import LEDGER as REPLIES
from chatbot.conversations.replies import conversations_of
from chatbot.core import clock
from chatbot.core.db import db, reading
from chatbot.core.hints import Kind, publish_committed
from chatbot.delivery.receipts import Receipt, apply_receipts, mark_drained
from chatbot.extensions import settings_of
from chatbot.webhooks import effects
from chatbot.webhooks.events import (
    IdentityChanged,
    MessageReceived,
    PersonEvent,
    PreferenceChanged,
    StatusReceived,
)
from chatbot.webhooks.lanes import ClaimedUpdate, delete_done, park, release
from chatbot.webhooks.models import WaitingStatus
from chatbot.webhooks.values import UnreadableUpdate

log = logging.getLogger(__name__)

LEDGERS = (REPLIES, RECIPIENTS)
TOLD = (
    (REPLIES.prefix, Kind.CONVERSATION, conversations_of),
    (RECIPIENTS.prefix, Kind.CAMPAIGN, campaigns_of),
)


def drop_recorded(updates: Sequence[ClaimedUpdate]) -> list[ClaimedUpdate]:
    """Take the messages that are recorded already off the list, in two statements for all; returns the
    others. What slips through in a race meets the unique wamid."""
    wamids = {u.id: u.event.message.wamid for u in updates if isinstance(u.event, MessageReceived)}
    if not wamids:
        return list(updates)
    query = sa.select(Message.wamid).where(Message.wamid.in_(list(wamids.values())))
    with reading(), db.engine.connect() as connection:
        recorded = set(connection.scalars(query))
    done = [update_id for update_id, wamid in wamids.items() if wamid in recorded]
    if done:
        with db.engine.begin() as connection:
            delete_done(connection, done)
    gone = set(done)
    return [update for update in updates if update.id not in gone]


def apply_personal(update: ClaimedUpdate) -> None:
    """Apply what one person said or did, and take it off the list in the same transaction."""
    session = db.session
    try:
        _apply(update.event, update.is_followed)  # type: ignore[arg-type]
        delete_done(session.connection(), [update.id])
        session.commit()
    except UnreadableUpdate as error:
        session.rollback()
        park(session.connection(), update.id, str(error))
        session.commit()


def _apply(event: PersonEvent, is_followed: bool) -> None:
    channel = find_channel(event.number, event.account)
    if channel is None:
        raise UnreadableUpdate(f"phone_number_id {event.number or '(none)'} is not one of ours")
    match event:
        case MessageReceived():
            note_display_phone(channel, event.display_phone)
            row = record_inbound(channel, event.sender, event.message, is_followed=is_followed)
            if row is not None and event.message.opens_window:
                attribute(row, settings_of(current_app).attribution_hours)
        case IdentityChanged():
            effects.change_person(channel, event)
        case PreferenceChanged():
            effects.apply_preference(event)


def give_back(update: ClaimedUpdate, error: Exception) -> None:
    """An update that failed: counted already, so one that kills its worker is parked in the end."""
    db.session.rollback()
    log.exception("update %d failed (attempt %d)", update.id, update.attempts)
    with db.engine.begin() as connection:
        release(connection, update, f"{type(error).__name__}: {error}")


def apply_statuses(updates: Sequence[ClaimedUpdate]) -> None:
    """Apply a batch of the statuses' lane in one transaction."""
    statuses = [u.event for u in updates if isinstance(u.event, StatusReceived)]
    others = [u for u in updates if not isinstance(u.event, StatusReceived)]
    if others:
        ensure_default_channel()
    done = [u.id for u in updates if isinstance(u.event, StatusReceived)]
    with db.engine.begin() as connection:
        apply_receipts_of(connection, statuses)
        for update in others:
            try:
                effects.apply_account_event(connection, update.event)  # type: ignore[arg-type]
                done.append(update.id)
            except UnreadableUpdate as error:
                park(connection, update.id, str(error))
        delete_done(connection, done)
    tell(statuses)


def apply_receipts_of(connection: sa.Connection, statuses: Sequence[StatusReceived]) -> None:
    """What statuses say of messages and of their recipients; `tell` is for after the commit."""
    unknown = apply_receipts(connection, LEDGERS, [status.receipt for status in statuses])
    _keep_waiting(connection, unknown)
    _learn(connection, statuses)


def tell(statuses: Sequence[StatusReceived]) -> None:
    """Pages that show these messages look again."""
    _tell([status.receipt for status in statuses])


def _learn(connection: sa.Connection, statuses: Sequence[StatusReceived]) -> None:
    pairs = {status.wa_id: status.bsuid for status in statuses if status.wa_id and status.bsuid}
    if pairs:
        learn_user_ids(connection, pairs)


def _keep_waiting(connection: sa.Connection, receipts: Sequence[Receipt]) -> None:
    """A status may overtake the answer of its send, or be of another program's message."""
    if receipts:
        now = clock.now()
        rows = [{"wamid": r.wamid, "payload": _encode(r), "received_at": now} for r in receipts]
        connection.execute(sa.insert(WaitingStatus), rows)


def apply_waiting(limit: int = 500) -> int:
    """Try the waiting statuses again whose message is known by now; returns how many went."""
    with db.engine.begin() as connection:
        known = sa.or_(
            *(sa.exists().where(ledger.table.c.wamid == WaitingStatus.wamid) for ledger in LEDGERS)
        )
        rows = connection.execute(
            sa.select(WaitingStatus.id, WaitingStatus.payload).where(known).limit(limit)
        ).all()
        if not rows:
            return 0
        receipts = [_decode(row.payload) for row in rows]
        apply_receipts(connection, LEDGERS, receipts)
        connection.execute(
            sa.delete(WaitingStatus).where(WaitingStatus.id.in_([row.id for row in rows]))
        )
    _tell(receipts)
    return len(rows)


def _tell(receipts: Sequence[Receipt]) -> None:
    """Once for each conversation and campaign of the batch. A receipt that doesn't say whose row it is is
    seen when they look by themselves."""
    for ledger, kind, owners_of in TOLD:
        row_ids = {
            r.callback.row_id for r in receipts if r.callback and r.callback.ledger == ledger
        }
        if row_ids:
            with reading(), db.engine.connect() as connection:
                owners = owners_of(connection, row_ids)
            publish_committed(kind, owners)


def note_drained(seconds_ago: float) -> None:
    """Nothing of what had come `seconds_ago` is left: from now on silence means something."""
    with db.engine.begin() as connection:
        ids = list(connection.scalars(sa.select(Channel.id)))
        mark_drained(connection, ids, seconds_ago)


def _encode(receipt: Receipt) -> str:
    return msgspec.json.encode(receipt).decode()


def _decode(text: Any) -> Receipt:
    return msgspec.json.decode(text, type=Receipt)
