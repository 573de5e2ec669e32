"""Path of the message queue: bodies become updates, and updates are applied one by one.

These updates are about one person each: a message, a new number or user id, a marketing preference.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from flask import current_app

from chatbot.campaigns.attribution import attribute_answer
from chatbot.channels.models import Channel
from chatbot.channels.service import find_channel, update_display_phone
from chatbot.contacts.service import (
    change_identity,
    has_decided_since,
    opt_in,
    opt_out,
    resolve_contact,
)
from chatbot.conversations.inbound import record_inbound, record_inbound_from_contact
from chatbot.conversations.models import Message
from chatbot.core.db import db, read_only
from chatbot.extensions import get_settings
from chatbot.webhooks.events import (
    ContactEvent,
    IdentityChanged,
    MessageReceived,
    PreferenceChanged,
)
from chatbot.webhooks.models import WebhookQueue
from chatbot.webhooks.parsing.values import UnreadableUpdate
from chatbot.webhooks.queues import ClaimedUpdate, delete_applied, quarantine_update
from chatbot.webhooks.splitter import SplitResult, split_bodies, store_updates


def split_message_bodies() -> SplitResult:
    """Store the updates of the new bodies of this queue."""
    return split_bodies(WebhookQueue.MESSAGES, store_updates)


def drop_recorded(updates: Sequence[ClaimedUpdate]) -> list[ClaimedUpdate]:
    """Delete the updates whose message is recorded already, and return the others.

    Two statements for all. A message that another worker records meanwhile fails on the unique wamid.
    """
    wamids = {u.id: u.event.message.wamid for u in updates if isinstance(u.event, MessageReceived)}
    if not wamids:
        return list(updates)
    query = sa.select(Message.wamid).where(Message.wamid.in_(list(wamids.values())))
    with read_only(), db.engine.connect() as connection:
        recorded = set(connection.scalars(query))
    done = {update_id for update_id, wamid in wamids.items() if wamid in recorded}
    if done:
        with db.engine.begin() as connection:
            delete_applied(connection, sorted(done))
    return [update for update in updates if update.id not in done]


def apply_contact_update(update: ClaimedUpdate) -> None:
    """Apply an update of one person, and delete it in the same transaction."""
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
            _apply_message(channel, event, has_more_queued)
        case IdentityChanged():
            _apply_identity_change(channel, event)
        case PreferenceChanged():
            _apply_preference(event)


def _apply_message(channel: Channel, event: MessageReceived, has_more_queued: bool) -> None:
    update_display_phone(channel, event.display_phone)
    row = record_inbound(channel, event.sender, event.message, has_more_queued=has_more_queued)
    if row is not None and event.message.opens_window:
        attribute_answer(row, get_settings(current_app).attribution_hours)


def _apply_identity_change(channel: Channel, event: IdentityChanged) -> None:
    """Give the contact its new number or user id, and record Meta's message about it."""
    contact = change_identity(event.old, event.new, event.happened_at)
    if event.message is not None:
        record_inbound_from_contact(channel, contact, event.message)


def _apply_preference(event: PreferenceChanged) -> None:
    """Record a stop in WhatsApp itself as an opt-out, also for a person who is no contact yet."""
    contact = resolve_contact(event.sender, event.happened_at)
    if not has_decided_since(contact, event.happened_at):
        record_decision = opt_in if event.wants_marketing else opt_out
        record_decision(contact, "meta", event.detail, event.happened_at)
