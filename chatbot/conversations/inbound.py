"""A message in: contact and conversation found or made, the message recorded once, a turn due."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from chatbot.channels.media.files import want_inbound
from chatbot.channels.models import Channel
from chatbot.contacts.models import Contact
from chatbot.contacts.service import Sender, resolve_contact
from chatbot.conversations.joining import get_conversation
from chatbot.conversations.models import (
    Author,
    Conversation,
    ConversationState,
    Direction,
    Message,
    thread_topic,
)
from chatbot.core import clock
from chatbot.core.cache import forget
from chatbot.core.db import db, upsert
from chatbot.core.hints import Kind, publish
from chatbot.core.queue import ring

# The bot waits a moment after a message, since people write in bursts; but not for ever.
BURST_PAUSE_S = 1.0
BURST_MOST_S = 5.0
PREVIEW = 200

# More has arrived already and is being recorded: the answer waits for the last of it, at most so long.
FOLLOWED_PAUSE_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class InboundMessage:
    """A message as a provider delivered it. `is_urgent`: a tapped button is answered at once.
    `opens_window`: the person wrote it, so that the service window begins anew."""

    wamid: str
    kind: str
    occurred_at: datetime
    text: str = ""
    payload: Mapping[str, Any] = field(default_factory=dict)
    context_wamid: str | None = None
    is_urgent: bool = False
    expects_answer: bool = True
    opens_window: bool = True


def record_inbound(
    channel: Channel, sender: Sender, message: InboundMessage, *, is_followed: bool = False
) -> Message | None:
    """Record a message once, in its place; None when it was recorded before.

    `is_followed`: more of this contact has arrived, so that the answer is to wait for it.

    Raises:
        ValueError: the sender has no identity.
    """
    known = db.session.scalar(sa.select(Message.id).where(Message.wamid == message.wamid))
    if known is not None:
        return None
    contact = resolve_contact(sender, message.occurred_at)
    return record_from(channel, contact, message, is_followed=is_followed)


def record_from(
    channel: Channel, contact: Contact, message: InboundMessage, *, is_followed: bool = False
) -> Message | None:
    """The same for a contact who is known already."""
    conversation = get_conversation(channel, contact, lock=True)
    # A message older than one already answered is part of the story, but no question any more.
    is_answered = (
        conversation.answered_until is not None
        and message.occurred_at < conversation.answered_until
    )
    needs_turn = message.expects_answer and not is_answered
    row = _insert_once(conversation, message, needs_turn)
    if row is not None:
        file = want_inbound(channel.id, message.kind, message.payload)
        row.media_file_id = file.id if file else None
        _note_inbound(conversation, message, needs_turn, is_followed)
    return row


def _insert_once(
    conversation: Conversation, message: InboundMessage, needs_turn: bool
) -> Message | None:
    """The unique wamid is the guard: the same webhook in two workers records one message."""
    session = db.session
    row_id = session.scalar(
        upsert(session.connection(), Message)
        .values(
            conversation_id=conversation.id,
            direction=Direction.INBOUND,
            author=Author.CONTACT,
            state=None,
            attempt=0,
            kind=message.kind[:30],
            text=message.text,
            payload=dict(message.payload),
            wamid=message.wamid,
            context_wamid=message.context_wamid,
            occurred_at=message.occurred_at,
            recorded_at=clock.now(),
            due_at=message.occurred_at,
            needs_turn=needs_turn,
        )
        .on_conflict_do_nothing()
        .returning(Message.id)
    )
    forget(thread_topic(conversation.id))
    return None if row_id is None else session.get_one(Message, row_id)


def _note_inbound(
    conversation: Conversation, message: InboundMessage, needs_turn: bool, is_followed: bool
) -> None:
    at = message.occurred_at
    if message.opens_window:
        conversation.unread_count += 1
        if conversation.last_inbound_at is None or at > conversation.last_inbound_at:
            conversation.last_inbound_at = at
    if at >= conversation.last_message_at or not conversation.last_message_text:
        conversation.last_message_at = at
        conversation.last_message_text = (message.text or f"[{message.kind}]")[:PREVIEW]
    publish(Kind.CONVERSATION, conversation.id)
    if not needs_turn:
        return
    if conversation.state == ConversationState.CLOSED:
        conversation.state = ConversationState.BOT
        conversation.assigned_user_id = None
    conversation.turn_due_at = turn_due(conversation, message.is_urgent, is_followed)
    ring("bot.turns")


def turn_due(conversation: Conversation, is_urgent: bool, is_followed: bool = False) -> datetime:
    """When the bot may answer: after a pause in the burst, at most BURST_MOST_S after its begin."""
    now = clock.now()
    if is_urgent:
        return now
    if is_followed:
        return now + timedelta(seconds=FOLLOWED_PAUSE_S)
    begun = db.session.scalar(
        sa.select(sa.func.min(Message.recorded_at)).where(
            Message.conversation_id == conversation.id, Message.needs_turn
        )
    )
    latest = (begun or now) + timedelta(seconds=BURST_MOST_S)
    return min(now + timedelta(seconds=BURST_PAUSE_S), max(latest, now))
