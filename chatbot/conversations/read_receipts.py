"""Read receipts of conversations: select the messages; `channels.read_receipt_sender` sends them."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from flask import current_app

from chatbot.channels.models import Channel
from chatbot.channels.read_receipt_sender import queue_read_receipt
from chatbot.conversations.models import (
    Conversation,
    ConversationState,
    Direction,
    Message,
)
from chatbot.core.db import db, read_only
from chatbot.extensions import get_settings


def send_read_receipts(
    conversation_ids: Sequence[int], *, typing: bool = False, only_bots: bool = False
) -> None:
    """Queue a read receipt for the latest inbound message of each conversation.

    Takes one query and does not wait for Meta. `typing` also shows the typing indicator. `only_bots`
    leaves out conversations that an agent has taken over but may not have read yet.
    """
    if not conversation_ids or not get_settings(current_app).read_receipts:
        return
    latest = (
        sa.select(Message.wamid)
        .where(
            Message.conversation_id == Conversation.id,
            Message.direction == Direction.INBOUND,
        )
        .order_by(Message.occurred_at.desc(), Message.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    query = (
        sa.select(Channel.phone_number_id, latest)
        .select_from(Conversation)
        .join(Channel, Channel.id == Conversation.channel_id)
        .where(Conversation.id.in_(conversation_ids))
    )
    if only_bots:
        query = query.where(Conversation.state == ConversationState.BOT)
    with read_only(), db.engine.connect() as connection:
        rows = connection.execute(query).all()
    for phone_number_id, wamid in rows:
        if wamid is not None:
            queue_read_receipt(phone_number_id, wamid, typing=typing)
