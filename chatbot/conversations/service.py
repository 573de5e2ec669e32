"""Who moves next in a conversation: bot, waiting, assigned to a person, closed."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Protocol

import sqlalchemy as sa

from chatbot.accounts.models import User
from chatbot.conversations.models import Conversation, ConversationState, Message
from chatbot.core import clock
from chatbot.core.db import db, db_now
from chatbot.core.errors import Conflict, NotFound
from chatbot.core.live_events import LiveEventKind, publish

# Meta's service window is 24 h from the contact's last message, by her clock; the margin is for
# clocks and queues (whatsapp_cloud_api.md section 7.1).
SERVICE_WINDOW = timedelta(hours=23, minutes=55)


class ConversationLike(Protocol):
    """A conversation, or the copy of it that a page shows."""

    @property
    def state(self) -> str: ...
    @property
    def assigned_user_id(self) -> int | None: ...
    @property
    def last_inbound_at(self) -> datetime | None: ...
    @property
    def window_refused_at(self) -> datetime | None: ...


def get_window_end(conversation: ConversationLike | Conversation) -> datetime | None:
    """By our count, unless Meta has refused a message since the contact's last one: hers counts."""
    last, refused = conversation.last_inbound_at, conversation.window_refused_at
    if last is None:
        return None
    return refused if refused is not None and refused >= last else last + SERVICE_WINDOW


def is_window_open(conversation: ConversationLike | Conversation) -> bool:
    closes_at = get_window_end(conversation)
    return closes_at is not None and clock.now() < closes_at


def window_is_open_condition() -> sa.ColumnElement[bool]:
    """The same of a conversation in SQL, by the database's clock; never NULL."""
    since = db_now(-SERVICE_WINDOW.total_seconds())
    is_refused = Conversation.window_refused_at >= Conversation.last_inbound_at
    is_recent = Conversation.last_inbound_at > since
    return sa.and_(
        sa.func.coalesce(is_recent, sa.false()), sa.not_(sa.func.coalesce(is_refused, sa.false()))
    )


def get_for_update(conversation_id: int) -> Conversation:
    """Raises NotFound."""
    query = (
        sa.select(Conversation)
        .where(Conversation.id == conversation_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    found = db.session.scalar(query)
    if found is None:
        raise NotFound("This conversation does not exist.")
    return found


def get_state_token(conversation: ConversationLike | Conversation) -> str:
    """Who must move next, as a page shows it and its forms send it back."""
    return f"{conversation.state}:{conversation.assigned_user_id or ''}"


def check_state_token(conversation: Conversation, seen: str) -> None:
    """Raises Conflict when the page that a person decided by shows another situation."""
    if seen != get_state_token(conversation):
        raise Conflict(
            "The conversation has changed while you were looking at it: "
            "see how it stands now, then decide again."
        )


def _record_state_change(conversation: Conversation) -> None:
    """Copies of the bot's memory are stale from now on, and so is what pages show."""
    conversation.version += 1
    publish(LiveEventKind.CONVERSATION, conversation.id)


def hand_off(conversation: Conversation, reason: str) -> None:
    """The bot steps back; a person is to take over."""
    conversation.state = ConversationState.WAITING
    conversation.assigned_user_id = None
    conversation.handoff_reason = reason[:200]
    _record_state_change(conversation)


def assign(conversation: Conversation, user_id: int) -> None:
    """Raises Conflict when somebody else was faster, saying who."""
    if conversation.assigned_user_id not in (None, user_id):
        owner = db.session.get(User, conversation.assigned_user_id)
        raise Conflict(
            "%(who)s has taken this conversation already.", who=owner.name if owner else "?"
        )
    conversation.state = ConversationState.ASSIGNED
    conversation.assigned_user_id = user_id
    conversation.unread_count = 0
    _record_state_change(conversation)


def hand_back(conversation: Conversation) -> None:
    """The bot answers again from the contact's next message on."""
    conversation.state = ConversationState.BOT
    conversation.assigned_user_id = None
    conversation.handoff_reason = None
    conversation.turn_due_at = None
    _record_state_change(conversation)


def close(conversation: Conversation) -> None:
    conversation.state = ConversationState.CLOSED
    conversation.assigned_user_id = None
    conversation.turn_due_at = None
    conversation.unread_count = 0
    _record_state_change(conversation)


def find_by_client_token(conversation: Conversation, client_token: str | None) -> Message | None:
    """The message that this very form was already; a form sent twice is one message."""
    if client_token is None:
        return None
    return db.session.scalar(
        sa.select(Message).where(
            Message.conversation_id == conversation.id, Message.client_token == client_token
        )
    )


def mark_read(conversation: Conversation, user_id: int) -> bool:
    """Only the agent who has the conversation reads it for everybody; False for anybody else."""
    if conversation.assigned_user_id != user_id:
        return False
    if conversation.unread_count:
        conversation.unread_count = 0
        publish(LiveEventKind.CONVERSATION, conversation.id)
    return True
