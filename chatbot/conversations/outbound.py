"""Queue outbound messages as rows of the thread; the replies worker delivers them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chatbot.conversations.models import Author, Conversation, Direction, Message
from chatbot.core import clock
from chatbot.core.db import db
from chatbot.core.live_events import LiveEventKind, publish
from chatbot.core.tasks import enqueue
from chatbot.delivery.models import MessageState

MAX_PREVIEW = 200


def queue_message(
    conversation: Conversation,
    body: Mapping[str, Any],
    text: str,
    author: Author,
    user_id: int | None = None,
    client_token: str | None = None,
    media_file_id: int | None = None,
    is_mandatory: bool = False,
) -> Message:
    """Queue `body` (for Meta, without the recipient) as the next message of the thread.

    `text` is shown in the thread. Messages queued in one transaction keep their order. A message with a
    file is sent once the file is uploaded; later messages of the thread wait for it.
    A mandatory message of the bot is sent even while an agent has the conversation.
    """
    now = clock.now()
    message = Message(
        conversation_id=conversation.id,
        direction=Direction.OUTBOUND,
        state=MessageState.QUEUED,
        author=author,
        user_id=user_id,
        client_token=client_token,
        kind=str(body.get("type", "text")),
        text=text,
        payload=dict(body),
        media_file_id=media_file_id,
        is_mandatory=is_mandatory,
        occurred_at=now,
        recorded_at=now,
    )
    db.session.add(message)
    db.session.flush()  # sending follows the order of ids
    conversation.last_message_at = now
    conversation.last_message_text = (text or f"[{message.kind}]")[:MAX_PREVIEW]
    publish(LiveEventKind.CONVERSATION, conversation.id)
    enqueue("conversations.deliver")
    return message
