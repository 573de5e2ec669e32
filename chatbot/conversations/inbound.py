"""Inbound messages: resolve contact and conversation, record the message once, schedule a bot turn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from chatbot.channels.media.files import queue_download
from chatbot.channels.models import Channel
from chatbot.contacts.models import Contact
from chatbot.contacts.service import SenderIdentity, resolve_contact
from chatbot.conversations.merging import get_or_create_conversation
from chatbot.conversations.models import (
    Author,
    Conversation,
    ConversationState,
    Direction,
    Message,
    thread_cache_tag,
)
from chatbot.core import clock
from chatbot.core.db import db, upsert
from chatbot.core.live_events import LiveEventKind, publish
from chatbot.core.tasks import enqueue
from chatbot.extensions import cache

# People write in bursts: the bot waits BURST_PAUSE_S after each message, MAX_BURST_S in total.
BURST_PAUSE_S = 1.0
MAX_BURST_S = 5.0
MAX_PREVIEW = 200

# Wait for messages that have arrived but are not recorded yet; recording the last one shortens this.
MORE_QUEUED_PAUSE_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class InboundMessage:
    """Message as a provider delivered it.

    `is_urgent`: answered without waiting for more, as a tapped button is.
    `opens_window`: written by the person, so it opens the service window again.
    """

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
    channel: Channel,
    sender: SenderIdentity,
    message: InboundMessage,
    *,
    has_more_queued: bool = False,
) -> Message | None:
    """Record a message once, or return None if it is recorded already.

    `has_more_queued`: later messages of this contact are queued, so the answer waits for them.

    Raises:
        ValueError: the sender has no identity.
    """
    known = db.session.scalar(sa.select(Message.id).where(Message.wamid == message.wamid))
    if known is not None:
        return None
    contact = resolve_contact(sender, message.occurred_at)
    return record_inbound_from_contact(channel, contact, message, has_more_queued=has_more_queued)


def record_inbound_from_contact(
    channel: Channel, contact: Contact, message: InboundMessage, *, has_more_queued: bool = False
) -> Message | None:
    """Record a message of a contact who is already resolved; see `record_inbound`."""
    conversation = get_or_create_conversation(channel, contact, lock=True)
    # A message older than one already answered is recorded but gets no answer of its own.
    is_answered = (
        conversation.answered_until is not None
        and message.occurred_at < conversation.answered_until
    )
    needs_turn = message.expects_answer and not is_answered
    row = _insert_once(conversation, message, needs_turn)
    if row is not None:
        file = queue_download(channel.id, message.kind, message.payload)
        row.media_file_id = file.id if file else None
        _update_conversation(conversation, message, needs_turn, has_more_queued)
    return row


def _insert_once(
    conversation: Conversation, message: InboundMessage, needs_turn: bool
) -> Message | None:
    """Insert the message; the unique wamid keeps two workers from recording the same webhook twice."""
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
            is_mandatory=False,
        )
        .on_conflict_do_nothing()
        .returning(Message.id)
    )
    cache.invalidate(thread_cache_tag(conversation.id))
    return None if row_id is None else session.get_one(Message, row_id)


def _update_conversation(
    conversation: Conversation, message: InboundMessage, needs_turn: bool, has_more_queued: bool
) -> None:
    at, preview = message.occurred_at, (message.text or f"[{message.kind}]")[:MAX_PREVIEW]
    if message.opens_window:
        conversation.unread_count += 1
        if conversation.last_inbound_at is None or at > conversation.last_inbound_at:
            conversation.last_inbound_at = at
            conversation.last_inbound_text = preview
    if at >= conversation.last_message_at or not conversation.last_message_text:
        conversation.last_message_at = at
        conversation.last_message_text = preview
    publish(LiveEventKind.CONVERSATION, conversation.id)
    if not needs_turn:
        return
    if conversation.state == ConversationState.CLOSED:
        conversation.state = ConversationState.BOT
        conversation.assigned_user_id = None
    conversation.turn_due_at = compute_turn_due_at(conversation, message.is_urgent, has_more_queued)
    enqueue("bot.take_turns")


def compute_turn_due_at(
    conversation: Conversation, is_urgent: bool, has_more_queued: bool = False
) -> datetime:
    """Return when the bot may answer: after a pause, at most MAX_BURST_S after the burst began."""
    now = clock.now()
    if is_urgent:
        return now
    if has_more_queued:
        return now + timedelta(seconds=MORE_QUEUED_PAUSE_S)
    begun = db.session.scalar(
        sa.select(sa.func.min(Message.recorded_at)).where(
            Message.conversation_id == conversation.id, Message.needs_turn
        )
    )
    latest = (begun or now) + timedelta(seconds=MAX_BURST_S)
    return min(now + timedelta(seconds=BURST_PAUSE_S), max(latest, now))
