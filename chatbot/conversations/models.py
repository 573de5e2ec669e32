"""Tables of the inbox: one conversation per contact and channel, and messages in both directions."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, validates

from chatbot.contacts.models import contact_cache_tag
from chatbot.conversations.cache_deltas import encode_delta
from chatbot.core import clock
from chatbot.core.cache.invalidation import CacheDelta, has_changed, old_and_new_values
from chatbot.core.db import Base, BigId, EnumString, Json, UtcDateTime, index_where
from chatbot.delivery.models import MessageState, SendTableMixin

INBOX_CACHE_TAG = "inbox:all"  # pages that list all conversations
WAITING_COUNT_CACHE_TAG = "inbox:count:waiting"  # number of conversations waiting for a person


def state_inbox_cache_tag(state: str) -> str:
    return f"inbox:{state}"


def user_inbox_cache_tag(user_id: int) -> str:
    return f"inbox:user:{user_id}"


def user_count_cache_tag(user_id: int) -> str:
    """Return the tag of this user's conversation count, which messages leave unchanged."""
    return f"inbox:count:user:{user_id}"


def thread_cache_tag(conversation_id: int) -> str:
    """Return the tag of a conversation's cached head and messages."""
    return f"thread:{conversation_id}"


class ConversationState(StrEnum):
    """State of a conversation: bot, waiting for an agent, assigned to one, or closed."""

    BOT = "bot"
    WAITING = "waiting"
    ASSIGNED = "assigned"
    CLOSED = "closed"


class Direction(StrEnum):
    INBOUND = "inbound"
    OUTBOUND = "outbound"


class Author(StrEnum):
    CONTACT = "contact"
    BOT = "bot"
    AGENT = "agent"
    CAMPAIGN = "campaign"
    PREVIEW = "preview"  # a campaign's test message to a colleague


class Conversation(Base):
    __tablename__ = "conversations"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    channel_id: Mapped[int] = mapped_column(sa.ForeignKey("channels.id"))
    contact_id: Mapped[int] = mapped_column(sa.ForeignKey("contacts.id"), index=True)
    state: Mapped[str] = mapped_column(
        EnumString(10), default=ConversationState.BOT, active_history=True
    )
    assigned_user_id: Mapped[int | None] = mapped_column(
        sa.ForeignKey("users.id"), active_history=True
    )
    handoff_reason: Mapped[str | None] = mapped_column(sa.String(200))
    # Since when it has been waiting for a person; NULL in every other state.
    waiting_since: Mapped[datetime | None] = mapped_column(UtcDateTime)
    # Intent and slots after the bot's last turn.
    last_intent: Mapped[str | None] = mapped_column(sa.String(40))
    slots: Mapped[dict[str, Any]] = mapped_column(Json, default=dict)
    # Incremented by every turn and state change; a cached context with another version is stale.
    version: Mapped[int] = mapped_column(default=0)
    # The bot's turn: when it is due, and the lease of the worker that is answering.
    turn_due_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    turn_token: Mapped[str | None] = mapped_column(sa.String(32))
    turn_leased_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    turn_attempts: Mapped[int] = mapped_column(default=0)
    answered_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    # Meta's time of the contact's last message, from which the service window counts.
    last_inbound_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    # When Meta refused a message because its service window was closed (error 131047).
    window_refused_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    last_message_at: Mapped[datetime] = mapped_column(UtcDateTime, default=clock.now)
    last_message_text: Mapped[str] = mapped_column(sa.String(200), default="")
    # What the contact wrote last; the list of waiting conversations shows it.
    last_inbound_text: Mapped[str] = mapped_column(sa.String(200), default="")
    unread_count: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=clock.now)

    __table_args__ = (
        sa.UniqueConstraint("channel_id", "contact_id"),
        sa.Index(
            "ix_conversations_turn_due",
            "turn_due_at",
            **index_where("turn_due_at IS NOT NULL"),
        ),
        sa.Index("ix_conversations_recent", "last_message_at", "id"),
        sa.Index(
            "ix_conversations_waiting",
            "waiting_since",
            "id",
            **index_where("waiting_since IS NOT NULL"),
        ),
        sa.Index("ix_conversations_state_recent", "state", "last_message_at", "id"),
        sa.Index(
            "ix_conversations_assigned_recent",
            "assigned_user_id",
            "last_message_at",
            "id",
            **index_where("assigned_user_id IS NOT NULL"),
        ),
    )

    @validates("state")
    def _note_waiting_since(self, _name: str, state: str) -> str:
        is_waiting = state == ConversationState.WAITING
        if not is_waiting:
            self.waiting_since = None
        elif self.waiting_since is None:
            self.waiting_since = clock.now()
        return state

    def cache_tags(self) -> Iterable[str | CacheDelta]:
        """Yield the tags of the thread, lists, counts and profile that a change affects.

        A worker's lease is shown nowhere and affects none.
        """
        if has_changed(self, *THREAD_COLUMNS):
            yield thread_cache_tag(self.id)
        if not has_changed(self, *INBOX_COLUMNS):
            return
        delta = encode_delta(self)
        yield INBOX_CACHE_TAG if delta is None else CacheDelta(INBOX_CACHE_TAG, self.id, delta)
        yield from map(state_inbox_cache_tag, old_and_new_values(self, "state") - {None})
        yield from map(user_inbox_cache_tag, old_and_new_values(self, "assigned_user_id") - {None})
        if has_changed(self, "state") and ConversationState.WAITING in old_and_new_values(
            self, "state"
        ):
            yield WAITING_COUNT_CACHE_TAG
        if has_changed(self, "assigned_user_id"):
            yield from map(
                user_count_cache_tag, old_and_new_values(self, "assigned_user_id") - {None}
            )
        if has_changed(self, "state", "last_message_at"):
            yield contact_cache_tag(self.contact_id)


INBOX_COLUMNS = (
    "state",
    "assigned_user_id",
    "unread_count",
    "last_message_at",
    "last_message_text",
    "handoff_reason",
    "waiting_since",
)
THREAD_COLUMNS = ("state", "assigned_user_id", "unread_count", "handoff_reason", "last_inbound_at")


def _initial_state(context: Any) -> MessageState | None:
    is_outbound = context.get_current_parameters().get("direction") == Direction.OUTBOUND
    return MessageState.QUEUED if is_outbound else None


class Message(SendTableMixin, Base):
    """Message of a thread. Inbound rows have no state; outbound rows form the send table of replies."""

    __tablename__ = "messages"

    # SQLAlchemy applies a default even to an explicit None, so the mixin's default would queue
    # inbound messages for sending.
    state: Mapped[str | None] = mapped_column(EnumString(10), default=_initial_state)
    conversation_id: Mapped[int] = mapped_column(sa.ForeignKey("conversations.id"))
    direction: Mapped[str] = mapped_column(sa.String(10))
    author: Mapped[str] = mapped_column(sa.String(10))
    user_id: Mapped[int | None] = mapped_column(sa.ForeignKey("users.id"))
    kind: Mapped[str] = mapped_column(sa.String(30))
    text: Mapped[str] = mapped_column(sa.Text, default="")
    # Outbound: the body for Meta, without the recipient. Inbound: the message as Meta sent it.
    payload: Mapped[dict[str, Any]] = mapped_column(Json, default=dict)
    media_file_id: Mapped[int | None] = mapped_column(sa.ForeignKey("media_files.id"))
    context_wamid: Mapped[str | None] = mapped_column(sa.String(255))
    # Inbound: Meta's time. Outbound: when it was queued here.
    occurred_at: Mapped[datetime] = mapped_column(UtcDateTime)
    recorded_at: Mapped[datetime] = mapped_column(UtcDateTime, default=clock.now)
    needs_turn: Mapped[bool] = mapped_column(default=False)
    # Sent by the bot even while an agent has the conversation, as the confirmation of an opt-out is.
    is_mandatory: Mapped[bool] = mapped_column(default=False)
    # Token of the agent's form: a form submitted twice queues one message.
    client_token: Mapped[str | None] = mapped_column(sa.String(40))

    __table_args__ = (
        sa.Index("ux_messages_wamid", "wamid", unique=True),
        sa.Index(
            "ux_messages_client_token",
            "conversation_id",
            "client_token",
            unique=True,
            **index_where("client_token IS NOT NULL"),
        ),
        sa.Index("ix_messages_thread", "conversation_id", "occurred_at", "id"),
        sa.Index(
            "ix_messages_open",
            "conversation_id",
            "id",
            **index_where("state IN ('queued', 'sending', 'unknown')"),
        ),
        sa.Index("ix_messages_recorded", "recorded_at"),
        sa.Index(
            "ix_messages_media",
            "media_file_id",
            **index_where("media_file_id IS NOT NULL"),
        ),
        sa.Index(
            "ix_messages_unanswered",
            "conversation_id",
            **index_where("needs_turn"),
        ),
        sa.Index(
            "ix_messages_due",
            "due_at",
            "id",
            **index_where("state = 'queued'"),
        ),
    )

    def cache_tags(self) -> Iterable[str]:
        return (thread_cache_tag(self.conversation_id),)
