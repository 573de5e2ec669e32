"""What a reply's failure means for the person, the conversation and the number."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from chatbot.channels.service import halt_channel
from chatbot.channels.whatsapp.errors import WINDOW_CLOSED, Reaction
from chatbot.contacts.reachability import note_reached
from chatbot.conversations.models import Conversation, Message, thread_topic
from chatbot.core.db import UtcDateTime, moment_text
from chatbot.core.rows import json_rows, these
from chatbot.core.staleness import forget_with
from chatbot.delivery.consequences import by_reaction, note_people
from chatbot.delivery.failures import Failure

_TABLE: sa.Table = Message.__table__  # type: ignore[assignment]


class MessageConsequences:
    """Implements `delivery.failures.Consequences`."""

    def failed(self, connection: sa.Connection, failures: Sequence[Failure]) -> None:
        note_people(connection, _TABLE, failures, contact_of_message())
        refused = [f for f in failures if f.code == WINDOW_CLOSED]
        if refused:
            _close_windows(connection, refused)
        for failure in by_reaction(failures).get(Reaction.TOKEN, ())[:1]:
            _halt(connection, failure)

    def reached(self, connection: sa.Connection, row_ids: Sequence[int]) -> None:
        reached = (
            sa.select(Conversation.contact_id)
            .join(Message, Message.conversation_id == Conversation.id)
            .where(Message.id.in_(these(connection, row_ids)))
        )
        note_reached(connection, reached)


def contact_of_message() -> sa.Select[int, int]:
    """(message id, contact id)"""
    return sa.select(Message.id, Conversation.contact_id).join(
        Conversation, Conversation.id == Message.conversation_id
    )


def _close_windows(connection: sa.Connection, refused: Sequence[Failure]) -> None:
    """By Meta's count the day is over, whatever ours says."""
    rows = [(f.row_id, moment_text(f.happened_at)) for f in refused]
    v = json_rows(connection, rows, row_id=sa.BigInteger(), at=UtcDateTime())
    of = (
        sa.select(Message.conversation_id, sa.func.max(v.c.at).label("at"))
        .join(v, v.c.row_id == Message.id)
        .group_by(Message.conversation_id)
        .subquery()
    )
    closed = connection.scalars(
        sa.update(Conversation)
        .where(Conversation.id == of.c.conversation_id)
        .values(window_refused_at=of.c.at)
        .returning(Conversation.id)
    ).all()
    forget_with(connection, *map(thread_topic, closed))


def _halt(connection: sa.Connection, failure: Failure) -> None:
    channel_id = connection.scalar(
        sa.select(Conversation.channel_id)
        .join(Message, Message.conversation_id == Conversation.id)
        .where(Message.id == failure.row_id)
    )
    if channel_id is not None:
        halt_channel(connection, channel_id, f"({failure.code}) {failure.detail}")
