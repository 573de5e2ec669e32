"""A person's data taken out of all features at their wish (LGPD, article 18, VI)."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from chatbot.channels.media.models import MediaChunk, MediaFile
from chatbot.contacts.erasure import anonymize_contact
from chatbot.contacts.models import Contact
from chatbot.conversations.models import INBOX_CACHE_TAG, Conversation, Message, thread_cache_tag
from chatbot.core.cache import invalidate
from chatbot.core.db import db
from chatbot.delivery.models import MessageState

ERASED_SKIP_REASON = "erased"  # why what was still to be sent is skipped


def erase_contact(contact: Contact) -> None:
    """Their names, numbers, tags, and the words and files of their conversations.

    Kept are the figures of campaigns, the invoices, which the law wants kept, and that they opted out;
    bodies of webhooks go by themselves after WEBHOOK_KEEP_DAYS.
    """
    _erase_conversations(anonymize_contact(contact))


def _erase_conversations(contact_ids: Sequence[int]) -> None:
    session = db.session
    theirs = sa.select(Conversation.id).where(Conversation.contact_id.in_(contact_ids))
    ids = session.scalars(theirs).all()
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
            slots={},
            last_intent=None,
            turn_due_at=None,
            version=Conversation.version + 1,  # the copy of the context in Redis is stale
        )
    )
    session.expire_all()
    invalidate(INBOX_CACHE_TAG, *map(thread_cache_tag, ids))


def _delete_unshared_files(file_ids: Sequence[int | None]) -> None:
    """But for those that others were sent too. Copies on a host's disk go as that cache is renewed."""
    others = sa.exists().where(Message.media_file_id == MediaFile.id)
    alone = db.session.scalars(
        sa.select(MediaFile.id).where(MediaFile.id.in_(file_ids), ~others)
    ).all()
    for table, column in ((MediaChunk, MediaChunk.file_id), (MediaFile, MediaFile.id)):
        db.session.execute(sa.delete(table).where(column.in_(alone)))
