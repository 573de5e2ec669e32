"""Find or create the conversation of a contact on a channel; merge those of merged contacts."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from chatbot.channels.models import Channel
from chatbot.contacts.models import Contact, contact_cache_tag
from chatbot.conversations.models import (
    INBOX_CACHE_TAG,
    Conversation,
    ConversationState,
    Message,
    state_inbox_cache_tag,
    thread_cache_tag,
)
from chatbot.core import clock
from chatbot.core.db import db, upsert
from chatbot.extensions import cache

# The state with the higher number wins in a merge: an agent's over the bot's.
_STATE_PRECEDENCE = {
    ConversationState.CLOSED: 0,
    ConversationState.BOT: 1,
    ConversationState.WAITING: 2,
    ConversationState.ASSIGNED: 3,
}


def get_or_create_conversation(
    channel: Channel, contact: Contact, *, lock: bool = False
) -> Conversation:
    """Return the conversation of this contact on this channel; create it if there is none.

    Conversations of contacts that were merged into this one are merged into it.
    """
    conversation = _find(channel, contact, lock=lock) or _create(channel, contact)
    for other in _list_merged_contacts_conversations(channel, contact):
        _merge(other, into=conversation)
    return conversation


def _query(channel: Channel) -> sa.Select[Conversation]:
    return sa.select(Conversation).where(Conversation.channel_id == channel.id)


def _find(channel: Channel, contact: Contact, *, lock: bool) -> Conversation | None:
    query = _query(channel).where(Conversation.contact_id == contact.id)
    return db.session.scalar(query.with_for_update() if lock else query)


def _create(channel: Channel, contact: Contact) -> Conversation:
    session = db.session
    now = clock.now()
    session.flush()
    session.execute(
        upsert(session.connection(), Conversation)
        .values(
            channel_id=channel.id,
            contact_id=contact.id,
            state=ConversationState.BOT,
            slots={},
            version=0,
            turn_attempts=0,
            last_message_at=now,
            last_message_text="",
            last_inbound_text="",
            unread_count=0,
            created_at=now,
        )
        .on_conflict_do_nothing()
    )
    cache.invalidate(
        INBOX_CACHE_TAG, state_inbox_cache_tag(ConversationState.BOT), contact_cache_tag(contact.id)
    )
    return session.scalars(_query(channel).where(Conversation.contact_id == contact.id)).one()


def _list_merged_contacts_conversations(channel: Channel, contact: Contact) -> list[Conversation]:
    merged = sa.select(Contact.id).where(Contact.merged_into_id == contact.id)
    query = _query(channel).where(Conversation.contact_id.in_(merged))
    return list(db.session.scalars(query.order_by(Conversation.id)))


def _merge(other: Conversation, *, into: Conversation) -> None:
    """Move the messages and pending turn of `other` into `into`, then delete `other`."""
    session = db.session
    session.flush()
    session.execute(
        sa.update(Message)
        .where(Message.conversation_id == other.id)
        .values(conversation_id=into.id)
        .execution_options(synchronize_session=False)
    )
    if (
        _STATE_PRECEDENCE[ConversationState(other.state)]
        > _STATE_PRECEDENCE[ConversationState(into.state)]
    ):
        into.state, into.assigned_user_id = other.state, other.assigned_user_id
        into.handoff_reason, into.waiting_since = other.handoff_reason, other.waiting_since
    if not into.last_message_text or other.last_message_at > into.last_message_at:
        into.last_message_at = other.last_message_at
        into.last_message_text = other.last_message_text
    if _later(into.last_inbound_at, other.last_inbound_at) != into.last_inbound_at:
        into.last_inbound_text = other.last_inbound_text
    into.last_inbound_at = _later(into.last_inbound_at, other.last_inbound_at)
    into.answered_until = _later(into.answered_until, other.answered_until)
    into.turn_due_at = _later(into.turn_due_at, other.turn_due_at)
    into.unread_count += other.unread_count
    into.version += 1
    cache.invalidate(
        thread_cache_tag(other.id), thread_cache_tag(into.id), contact_cache_tag(into.contact_id)
    )
    session.delete(other)
    session.flush()


def _later(one: datetime | None, other: datetime | None) -> datetime | None:
    return max((at for at in (one, other) if at is not None), default=None)
