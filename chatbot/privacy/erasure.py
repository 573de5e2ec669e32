"""Erase a person's data from all features on their request (LGPD, article 18, VI)."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from chatbot.channels.media.models import MediaChunk, MediaFile
from chatbot.contacts.erasure import anonymize_contact
from chatbot.contacts.models import Contact
from chatbot.conversations.models import INBOX_CACHE_TAG, Conversation, Message, thread_cache_tag
from chatbot.core.db import db
from chatbot.delivery.models import MessageState
from chatbot.extensions import cache

ERASED_SKIP_REASON = "erased"  # skip reason of messages that were still queued


def erase_contact(contact: Contact) -> None:
    """Erase names, numbers, tags, and the texts and files of conversations.

    Campaign figures, invoices (which must be kept by law) and the opt-out remain. Webhook bodies are
    deleted after WEBHOOK_KEEP_DAYS.
    """
    _erase_conversations(anonymize_contact(contact))


def _erase_conversations(contact_ids: Sequence[int]) -> None:
    session = db.session
    query = sa.select(Conversation.id).where(Conversation.contact_id.in_(contact_ids))
    ids = session.scalars(query).all()
    session.execute(
        sa.update(Message)
        .where(Message.conversation_id.in_(ids), Message.state == MessageState.QUEUED)
        .values(state=MessageState.SKIPPED, skip_reason=ERASED_SKIP_REASON)
    )
    files = session.scalars(
        sa.select(Message.media_file_id).where(
            Message.conversation_id.in_(ids), Message.media_file_id.is_not(None)
        )
    ).all()
    session.execute(
        sa.update(Message)
        .where(Message.conversation_id.in_(ids))
        .values(text="", payload={}, media_file_id=None, needs_turn=False)
    )
    _delete_unshared_files(files)
    session.execute(
        sa.update(Conversation)
        .where(Conversation.id.in_(ids))
        .values(
            last_message_text="",
            last_inbound_text="",
            slots={},
            last_intent=None,
            turn_due_at=None,
            version=Conversation.version + 1,  # makes the context in Redis stale
        )
    )
    session.expire_all()
    cache.invalidate(INBOX_CACHE_TAG, *map(thread_cache_tag, ids))


def _delete_unshared_files(file_ids: Sequence[int | None]) -> None:
    """Delete files that no other message has; the disk cache drops its copies as it is renewed."""
    others = sa.exists().where(Message.media_file_id == MediaFile.id)
    unshared = db.session.scalars(
        sa.select(MediaFile.id).where(MediaFile.id.in_(file_ids), ~others)
    ).all()
    for table, column in ((MediaChunk, MediaChunk.file_id), (MediaFile, MediaFile.id)):
        db.session.execute(sa.delete(table).where(column.in_(unshared)))
