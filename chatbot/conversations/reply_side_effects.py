"""Side effects of failed and delivered replies on the contact, the conversation and the channel."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from chatbot.channels.service import halt_channel
from chatbot.channels.whatsapp.errors import WINDOW_CLOSED, ErrorPolicy
from chatbot.contacts.reachability import mark_reachable
from chatbot.conversations.models import Conversation, Message, thread_cache_tag
from chatbot.core.cache.invalidation import invalidate_with
from chatbot.core.db import UtcDateTime, timestamp_text
from chatbot.core.db.bulk_sql import id_list, json_rows
from chatbot.delivery.send_table import DeliveryFailure
from chatbot.delivery.side_effects import group_by_policy, record_contact_effects

_TABLE: sa.Table = Message.__table__  # type: ignore[assignment]


class MessageSideEffects:
    """Implements `delivery.send_table.SideEffects`."""

    def on_failed(self, connection: sa.Connection, failures: Sequence[DeliveryFailure]) -> None:
        record_contact_effects(connection, _TABLE, failures, select_message_contacts())
        refused = [f for f in failures if f.code == WINDOW_CLOSED]
        if refused:
            _close_windows(connection, refused)
        for failure in group_by_policy(failures).get(ErrorPolicy.TOKEN, ())[:1]:
            _halt_channel(connection, failure)

    def on_reached(self, connection: sa.Connection, row_ids: Sequence[int]) -> None:
        reached = (
            sa.select(Conversation.contact_id)
            .join(Message, Message.conversation_id == Conversation.id)
            .where(Message.id.in_(id_list(connection, row_ids)))
        )
        mark_reachable(connection, reached)


def select_message_contacts() -> sa.Select[int, int]:
    """Select pairs of message id and contact id."""
    return sa.select(Message.id, Conversation.contact_id).join(
        Conversation, Conversation.id == Message.conversation_id
    )


def _close_windows(connection: sa.Connection, refused: Sequence[DeliveryFailure]) -> None:
    """Record that Meta refused a message because the service window is closed (error 131047)."""
    rows = [(f.row_id, timestamp_text(f.happened_at)) for f in refused]
    v = json_rows(connection, rows, row_id=sa.BigInteger(), at=UtcDateTime())
    refusals = (
        sa.select(Message.conversation_id, sa.func.max(v.c.at).label("at"))
        .join(v, v.c.row_id == Message.id)
        .group_by(Message.conversation_id)
        .subquery()
    )
    closed = connection.scalars(
        sa.update(Conversation)
        .where(Conversation.id == refusals.c.conversation_id)
        .values(window_refused_at=refusals.c.at)
        .returning(Conversation.id)
    ).all()
    invalidate_with(connection, *map(thread_cache_tag, closed))


def _halt_channel(connection: sa.Connection, failure: DeliveryFailure) -> None:
    channel_id = connection.scalar(
        sa.select(Conversation.channel_id)
        .join(Message, Message.conversation_id == Conversation.id)
        .where(Message.id == failure.row_id)
    )
    if channel_id is not None:
        halt_channel(connection, channel_id, f"({failure.code}) {failure.detail}")
