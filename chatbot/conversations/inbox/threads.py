"""Head and messages of a thread's page, as cacheable copies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

import sqlalchemy as sa

from chatbot.accounts.models import USERS_CACHE_TAG, User
from chatbot.channels.media.models import FileSummary, MediaFile
from chatbot.contacts.models import CONTACTS_CACHE_TAG, Contact
from chatbot.conversations.contents import Detail, list_details
from chatbot.conversations.models import Conversation, Direction, Message, thread_cache_tag
from chatbot.core.cache import CacheEntry, CacheSpec
from chatbot.core.clock import parse_time
from chatbot.core.db import db
from chatbot.core.errors import NotFound
from chatbot.core.pagination import (
    Page,
    build_page,
    decode_cursor,
    encode_cursor,
    parse_row_id,
    rows_after,
)
from chatbot.extensions import cache

T = TypeVar("T")

PAGE_SIZE = 50
MAX_LIVE_MESSAGES = 200  # messages that an open page refreshes


@dataclass(frozen=True, slots=True)
class ThreadHead:
    """Conversation with its contact and the name of its agent."""

    id: int
    channel_id: int
    state: str
    assigned_user_id: int | None
    handoff_reason: str | None
    last_inbound_at: datetime | None
    window_refused_at: datetime | None
    unread_count: int
    contact_id: int
    contact_name: str
    contact_address: str | None
    contact_opted_out_at: datetime | None
    agent: str | None


@dataclass(frozen=True, slots=True)
class Bubble:
    """Message with the name of the agent who wrote it and its file."""

    id: int
    direction: str
    author: str
    kind: str
    text: str
    state: str | None
    error_code: int | None
    skip_reason: str | None
    occurred_at: datetime
    agent: str | None
    file: FileSummary | None
    details: tuple[Detail, ...]


@dataclass(frozen=True, slots=True)
class LiveThread:
    """Part of a thread's page that is refreshed while it is open."""

    head: ThreadHead
    bubbles: list[Bubble]


@dataclass(frozen=True, slots=True)
class ThreadPage:
    """Content of a thread's page when it is loaded."""

    head: ThreadHead
    page: Page[Bubble]


THREAD_PAGE_CACHE: CacheSpec[ThreadPage | None] = CacheSpec(
    "thread", ThreadPage | None, fresh_s=300, stale_s=60
)
LIVE_THREAD_CACHE: CacheSpec[LiveThread | None] = CacheSpec(
    "thread", LiveThread | None, fresh_s=300, stale_s=60
)


def get_live_thread(conversation_id: int, since: str) -> LiveThread:
    """Return the head and the messages from the first shown one on, cached.

    Raises NotFound, and InvalidInput for a broken cursor.
    """
    compute = partial(_find_live_thread, conversation_id, since)
    return _get_cached(LIVE_THREAD_CACHE, f"{conversation_id}:{since}", conversation_id, compute)


def get_thread(conversation_id: int, before: str | None = None) -> ThreadPage:
    """Return the head and a page of messages; only the newest page is cached.

    Raises NotFound, and InvalidInput for a broken cursor.
    """
    if before:
        return ThreadPage(get_head(conversation_id), list_messages(conversation_id, before))
    compute = partial(_find_newest_page, conversation_id)
    return _get_cached(THREAD_PAGE_CACHE, f"{conversation_id}:open", conversation_id, compute)


def _get_cached(
    kind: CacheSpec[T | None], name: str, conversation_id: int, compute: Callable[[], T | None]
) -> T:
    cache_tags = (thread_cache_tag(conversation_id), CONTACTS_CACHE_TAG, USERS_CACHE_TAG)
    found = cache.get_or_compute(
        CacheEntry(kind, name, compute, cache_tags, should_store=lambda it: it is not None)
    )
    if found is None:
        raise NotFound("This conversation does not exist.")
    return found


def _find_live_thread(conversation_id: int, since: str) -> LiveThread | None:
    try:
        head = get_head(conversation_id)
    except NotFound:
        return None
    return LiveThread(head, list_messages_since(conversation_id, since))


def _find_newest_page(conversation_id: int) -> ThreadPage | None:
    try:
        head = get_head(conversation_id)
    except NotFound:
        return None
    return ThreadPage(head, list_messages(conversation_id))


def get_head(conversation_id: int) -> ThreadHead:
    """Read the head from SQL. Raises NotFound."""
    row = db.session.execute(
        sa.select(Conversation, Contact, User.name)
        .join(Contact, Contact.id == Conversation.contact_id)
        .join(User, User.id == Conversation.assigned_user_id, isouter=True)
        .where(Conversation.id == conversation_id)
    ).one_or_none()
    if row is None:
        raise NotFound("This conversation does not exist.")
    conversation, contact, agent = row
    return ThreadHead(
        id=conversation.id,
        channel_id=conversation.channel_id,
        state=conversation.state,
        assigned_user_id=conversation.assigned_user_id,
        handoff_reason=conversation.handoff_reason,
        last_inbound_at=conversation.last_inbound_at,
        window_refused_at=conversation.window_refused_at,
        unread_count=conversation.unread_count,
        contact_id=contact.id,
        contact_name=contact.name,
        contact_address=contact.address,
        contact_opted_out_at=contact.opted_out_at,
        agent=agent,
    )


def list_messages(conversation_id: int, before: str | None = None) -> Page[Bubble]:
    """Return a page of messages, oldest first; its cursor leads to older messages."""
    order = (Message.occurred_at, Message.id)
    query = _select_messages(conversation_id)
    first = decode_cursor(before, parse_time, parse_row_id)
    if first is not None:
        query = query.where(rows_after(order, first, descending=True))
    newest_first = query.order_by(*(column.desc() for column in order)).limit(PAGE_SIZE + 1)
    rows = [_build_bubble(row) for row in db.session.execute(newest_first)]
    page = build_page(rows, PAGE_SIZE, lambda bubble: (bubble.occurred_at, bubble.id))
    return Page(page.rows[::-1], page.after)


def list_messages_since(conversation_id: int, since: str) -> list[Bubble]:
    """Return the messages from the first shown one on, at most the latest MAX_LIVE_MESSAGES."""
    order = (Message.occurred_at, Message.id)
    query = _select_messages(conversation_id)
    first = decode_cursor(since, parse_time, parse_row_id)
    if first is not None:
        occurred_at, message_id = first
        query = query.where(rows_after(order, (occurred_at, message_id - 1)))
    newest_first = query.order_by(*(column.desc() for column in order)).limit(MAX_LIVE_MESSAGES)
    return [_build_bubble(row) for row in reversed(db.session.execute(newest_first).all())]


_FILE_COLUMNS = (
    MediaFile.mime_type,
    MediaFile.file_name,
    MediaFile.size,
    MediaFile.sha256.is_not(None),
    MediaFile.transfer,
    MediaFile.problem,
)


def _select_messages(conversation_id: int) -> Any:
    return (
        sa.select(
            Message.id,
            Message.direction,
            Message.author,
            Message.kind,
            Message.text,
            Message.state,
            Message.error_code,
            Message.skip_reason,
            Message.occurred_at,
            User.name,
            *_FILE_COLUMNS,
            # Bodies of our own messages are large, and nothing is shown of them.
            sa.case((Message.direction == Direction.INBOUND, Message.payload)).label("payload"),
        )
        .join(User, User.id == Message.user_id, isouter=True)
        .join(MediaFile, MediaFile.id == Message.media_file_id, isouter=True)
        .where(Message.conversation_id == conversation_id)
    )


def _build_bubble(row: Any) -> Bubble:
    *of_message, payload = row
    of_message, of_file = of_message[: -len(_FILE_COLUMNS)], of_message[-len(_FILE_COLUMNS) :]
    file = FileSummary(*of_file) if of_file[0] is not None else None
    values: tuple[Any, ...] = (*of_message, file, tuple(list_details(row.kind, payload or {})))
    return Bubble(*values)


def get_file(conversation_id: int, message_id: int) -> MediaFile:
    """Return the file of a message of this conversation. Raises NotFound if it is absent or incomplete."""
    file = db.session.scalar(
        sa.select(MediaFile)
        .join(Message, Message.media_file_id == MediaFile.id)
        .where(Message.id == message_id, Message.conversation_id == conversation_id)
    )
    if file is None or not file.is_complete:
        raise NotFound("There is no file here, or it has not been downloaded yet.")
    return file


def get_start_cursor(bubbles: Sequence[Bubble]) -> str:
    """Return the cursor of the first shown message, for `get_live_thread`."""
    return encode_cursor(bubbles[0].occurred_at, bubbles[0].id) if bubbles else ""
