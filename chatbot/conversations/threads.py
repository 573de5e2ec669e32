"""What a thread's page shows: the head and the messages, as copies that can be cached."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

import sqlalchemy as sa

from chatbot.accounts.models import USERS, User
from chatbot.channels.media.models import FileCopy, MediaFile
from chatbot.contacts.models import CONTACTS, Contact
from chatbot.conversations.models import Conversation, Message, thread_topic
from chatbot.core.cache import Entry, Kind, get_or_compute
from chatbot.core.db import db
from chatbot.core.errors import NotFound
from chatbot.core.pagination import Page, beyond, cut, moment, read_cursor, row_id, write_cursor

T = TypeVar("T")

PAGE = 50
LIVE = 200  # messages that a page keeps fresh


@dataclass(frozen=True, slots=True)
class Head:
    """The conversation, its contact, and the name of the agent who has it."""

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
    """A message, the name of the agent who wrote it, and its file."""

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
    file: FileCopy | None


@dataclass(frozen=True, slots=True)
class LiveThread:
    """What moves on a thread's page."""

    head: Head
    bubbles: list[Bubble]


@dataclass(frozen=True, slots=True)
class OpenThread:
    """What a thread's page begins with."""

    head: Head
    page: Page[Bubble]


OPEN_THREAD: Kind[OpenThread | None] = Kind("thread", OpenThread | None, fresh_s=300, stale_s=60)
LIVE_THREAD: Kind[LiveThread | None] = Kind("thread", LiveThread | None, fresh_s=300, stale_s=60)


def read_live(conversation_id: int, since: str) -> LiveThread:
    """The head, and the messages from the first shown one on; cached. Raises NotFound, and
    InvalidInput for a broken cursor."""
    compute = partial(_find_live, conversation_id, since)
    return _cached(LIVE_THREAD, f"{conversation_id}:{since}", conversation_id, compute)


def read_thread(conversation_id: int, before: str | None = None) -> OpenThread:
    """The head and a page of messages; the newest, which is what everybody opens, is cached. Raises
    NotFound, and InvalidInput for a broken cursor."""
    if before:
        return OpenThread(get_head(conversation_id), list_messages(conversation_id, before))
    compute = partial(_find_newest, conversation_id)
    return _cached(OPEN_THREAD, f"{conversation_id}:open", conversation_id, compute)


def _cached(
    kind: Kind[T | None], name: str, conversation_id: int, compute: Callable[[], T | None]
) -> T:
    topics = (thread_topic(conversation_id), CONTACTS, USERS)
    found = get_or_compute(Entry(kind, name, compute, topics, keep=lambda it: it is not None))
    if found is None:
        raise NotFound("This conversation does not exist.")
    return found


def _find_live(conversation_id: int, since: str) -> LiveThread | None:
    try:
        head = get_head(conversation_id)
    except NotFound:
        return None
    return LiveThread(head, list_messages_since(conversation_id, since))


def _find_newest(conversation_id: int) -> OpenThread | None:
    try:
        head = get_head(conversation_id)
    except NotFound:
        return None
    return OpenThread(head, list_messages(conversation_id))


def get_head(conversation_id: int) -> Head:
    """Raises NotFound."""
    row = db.session.execute(
        sa.select(Conversation, Contact, User.name)
        .join(Contact, Contact.id == Conversation.contact_id)
        .join(User, User.id == Conversation.assigned_user_id, isouter=True)
        .where(Conversation.id == conversation_id)
    ).one_or_none()
    if row is None:
        raise NotFound("This conversation does not exist.")
    conversation, contact, agent = row
    return Head(
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
    """A page of the thread in the order of reading; its cursor leads to older ones."""
    order = (Message.occurred_at, Message.id)
    query = _messages(conversation_id)
    first = read_cursor(before, moment, row_id)
    if first is not None:
        query = query.where(beyond(order, first, descending=True))
    newest_first = query.order_by(*(column.desc() for column in order)).limit(PAGE + 1)
    rows = [_bubble(row) for row in db.session.execute(newest_first)]
    page = cut(rows, PAGE, lambda bubble: (bubble.occurred_at, bubble.id))
    return Page(page.rows[::-1], page.after)


def list_messages_since(conversation_id: int, since: str) -> list[Bubble]:
    """From the first shown message on, the latest: what is new, and what has got its ticks."""
    order = (Message.occurred_at, Message.id)
    query = _messages(conversation_id)
    first = read_cursor(since, moment, row_id)
    if first is not None:
        occurred_at, message_id = first
        query = query.where(beyond(order, (occurred_at, message_id - 1)))
    newest_first = query.order_by(*(column.desc() for column in order)).limit(LIVE)
    return [_bubble(row) for row in reversed(db.session.execute(newest_first).all())]


_OF_FILE = (
    MediaFile.mime_type,
    MediaFile.file_name,
    MediaFile.size,
    MediaFile.sha256.is_not(None),
    MediaFile.task,
    MediaFile.problem,
)


def _messages(conversation_id: int) -> Any:
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
            *_OF_FILE,
        )
        .join(User, User.id == Message.user_id, isouter=True)
        .join(MediaFile, MediaFile.id == Message.media_file_id, isouter=True)
        .where(Message.conversation_id == conversation_id)
    )


def _bubble(row: Any) -> Bubble:
    of_message, of_file = row[: -len(_OF_FILE)], row[-len(_OF_FILE) :]
    values = (*of_message, FileCopy(*of_file) if of_file[0] is not None else None)
    return Bubble(*values)


def get_file(conversation_id: int, message_id: int) -> MediaFile:
    """The file of a message of this very conversation. Raises NotFound when it has none (yet)."""
    file = db.session.scalar(
        sa.select(MediaFile)
        .join(Message, Message.media_file_id == MediaFile.id)
        .where(Message.id == message_id, Message.conversation_id == conversation_id)
    )
    if file is None or not file.is_whole:
        raise NotFound("There is no file here, or it has not been fetched yet.")
    return file


def first_of(bubbles: Sequence[Bubble]) -> str:
    """The cursor from which a page of the thread is asked for again."""
    return write_cursor(bubbles[0].occurred_at, bubbles[0].id) if bubbles else ""
