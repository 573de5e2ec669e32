"""State of a conversation (bot, waiting, assigned, closed) and its service window."""

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

# Meta accepts free-form messages for 24 hours after the contact's last message (Meta, "Customer service
# windows"); five minutes are left for clock differences and queues.
SERVICE_WINDOW = timedelta(hours=23, minutes=55)


class ConversationLike(Protocol):
    """Conversation, or the cached copy of it that a page shows."""

    @property
    def state(self) -> str: ...
    @property
    def assigned_user_id(self) -> int | None: ...
    @property
    def last_inbound_at(self) -> datetime | None: ...
    @property
    def window_refused_at(self) -> datetime | None: ...


def get_window_end(conversation: ConversationLike | Conversation) -> datetime | None:
    """Return when the service window closes; the time of Meta's refusal if there was one since."""
    last, refused = conversation.last_inbound_at, conversation.window_refused_at
    if last is None:
        return None
    return refused if refused is not None and refused >= last else last + SERVICE_WINDOW


def is_window_open(conversation: ConversationLike | Conversation) -> bool:
    closes_at = get_window_end(conversation)
    return closes_at is not None and clock.now() < closes_at


def window_is_open_condition() -> sa.ColumnElement[bool]:
    """Return `is_window_open` as an SQL condition by the database's clock; it is never NULL."""
    since = db_now(-SERVICE_WINDOW.total_seconds())
    is_refused = Conversation.window_refused_at >= Conversation.last_inbound_at
    is_recent = Conversation.last_inbound_at > since
    return sa.and_(
        sa.func.coalesce(is_recent, sa.false()), sa.not_(sa.func.coalesce(is_refused, sa.false()))
    )


def get_for_update(conversation_id: int) -> Conversation:
    """Load and lock a conversation. Raises NotFound."""
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
    """Return the state and agent as a token that forms send back; see `check_state_token`."""
    return f"{conversation.state}:{conversation.assigned_user_id or ''}"


def check_state_token(conversation: Conversation, seen: str) -> None:
    """Raise Conflict if the state has changed since the page with this token was loaded."""
    if seen != get_state_token(conversation):
        raise Conflict(
            "The conversation has changed since you opened it: look at its current state, "
            "then decide again."
        )


def _record_state_change(conversation: Conversation) -> None:
    """Make cached contexts stale and refresh open pages."""
    conversation.version += 1
    publish(LiveEventKind.CONVERSATION, conversation.id)


def hand_off(conversation: Conversation, reason: str) -> None:
    """Stop the bot and let the conversation wait for an agent."""
    conversation.state = ConversationState.WAITING
    conversation.assigned_user_id = None
    conversation.handoff_reason = reason[:200]
    _record_state_change(conversation)


def assign(conversation: Conversation, user_id: int) -> None:
    """Assign the conversation to an agent.

    Raises Conflict if another agent has it, or if the agent's account was closed meanwhile.
    """
    if conversation.assigned_user_id not in (None, user_id):
        owner = db.session.get(User, conversation.assigned_user_id)
        raise Conflict(
            "%(who)s has already taken this conversation.", who=owner.name if owner else "?"
        )
    if conversation.assigned_user_id is None:
        _check_open_account(user_id)
    conversation.state = ConversationState.ASSIGNED
    conversation.assigned_user_id = user_id
    conversation.unread_count = 0
    _record_state_change(conversation)


def _check_open_account(user_id: int) -> None:
    """Raise Conflict if the account is closed, and keep it from being closed in this transaction."""
    query = sa.select(User.is_active).where(User.id == user_id).with_for_update(read=True)
    if not db.session.scalar(query):
        raise Conflict("This account is closed: open it first.")


def release_conversations(user_id: int) -> None:
    """Let all conversations of an agent whose account is closed wait for another one."""
    query = sa.select(Conversation).where(Conversation.assigned_user_id == user_id)
    # Again until there is none: a merge may have moved one to another row while this waited for its lock.
    while found := db.session.scalars(query.with_for_update()).all():
        for conversation in found:
            hand_off(conversation, "account_closed")
        db.session.flush()


def hand_back(conversation: Conversation) -> None:
    """Return the conversation to the bot, which answers from the contact's latest message on."""
    conversation.state = ConversationState.BOT
    conversation.assigned_user_id = None
    conversation.handoff_reason = None
    _record_state_change(conversation)


def close(conversation: Conversation) -> None:
    """Close the conversation. A turn that is due still obeys an opt-out, and answers nothing else."""
    conversation.state = ConversationState.CLOSED
    conversation.assigned_user_id = None
    conversation.unread_count = 0
    _record_state_change(conversation)


def find_by_client_token(conversation: Conversation, client_token: str | None) -> Message | None:
    """Return the message that an earlier submission of the same form queued."""
    if client_token is None:
        return None
    return db.session.scalar(
        sa.select(Message).where(
            Message.conversation_id == conversation.id, Message.client_token == client_token
        )
    )


def mark_read(conversation: Conversation, user_id: int) -> bool:
    """Reset the unread count if this user is the assigned agent; else return False."""
    if conversation.assigned_user_id != user_id:
        return False
    if conversation.unread_count:
        conversation.unread_count = 0
        publish(LiveEventKind.CONVERSATION, conversation.id)
    return True
