"""What the inbox lists, by filter; each page in a constant number of statements."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from functools import partial
from typing import Any

import sqlalchemy as sa

from chatbot.accounts.models import USERS, User
from chatbot.contacts.models import CONTACTS, Contact
from chatbot.contacts.search import matches
from chatbot.conversations.models import (
    EVERY_INBOX,
    WAITING_COUNT,
    Conversation,
    ConversationState,
    count_of_user,
    inbox_of_state,
    inbox_of_user,
)
from chatbot.conversations.news import Move, read_moves
from chatbot.core.cache import Entry, Kind, get_all
from chatbot.core.db import db
from chatbot.core.pagination import Page, beyond, cut, moment, read_cursor, row_id, write_cursor

PAGE = 30
COUNTED = 99  # a badge need not count further


class Inbox(StrEnum):
    """The filters of the list."""

    ALL = "all"
    WAITING = "waiting"
    MINE = "mine"
    BOT = "bot"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Line:
    """One conversation in the list."""

    id: int
    state: str
    unread_count: int
    last_message_at: datetime
    last_message_text: str
    name: str
    address: str
    agent: str | None


INBOX: Kind[Page[Line]] = Kind("conversations", Page[Line], fresh_s=300, stale_s=60)
# What was never told, since the worker died after its commit, is made good by reading anew.
FOLLOWED: Kind[Page[Line]] = Kind("conversations", Page[Line], fresh_s=20, stale_s=10)
COUNT: Kind[int] = Kind("conversations", int, fresh_s=300, stale_s=60)


def read_inbox(
    inbox: Inbox, user_id: int, typed: str = "", after: str | None = None
) -> tuple[Page[Line], dict[str, int]]:
    """A page of the list and the counts of its badges; what everybody looks at, which is the first
    page without a search, is cached. Raises InvalidInput for a broken cursor."""
    counts = [_count_entry(Inbox.WAITING, user_id), _count_entry(Inbox.MINE, user_id)]
    if typed or after:
        waiting, mine = get_all(*counts)
        page = list_conversations(inbox, user_id, typed, after)
    else:
        page, waiting, mine = get_all(_inbox_entry(inbox, user_id), *counts)
    return page, {Inbox.WAITING.value: waiting, Inbox.MINE.value: mine}


def _inbox_entry(inbox: Inbox, user_id: int) -> Entry[Page[Line]]:
    """Only one's own list depends on who looks."""
    topic = {Inbox.ALL: EVERY_INBOX, Inbox.MINE: inbox_of_user(user_id)}.get(
        inbox, inbox_of_state(inbox.value)
    )
    whose = f"{inbox}:{user_id}" if inbox is Inbox.MINE else inbox
    compute = partial(list_conversations, inbox, user_id)
    topics = (topic, CONTACTS, USERS)
    if inbox is Inbox.ALL:
        return Entry(FOLLOWED, whose, compute, topics, follow=follow_moves)
    return Entry(INBOX, whose, compute, topics)


def follow_moves(page: Page[Line], news: bytes) -> Page[Line] | None:
    """The first page of all conversations after the messages that came since it was read; None when it
    has to be read again."""
    moves = read_moves(news)
    if moves is None:
        return None
    lines = {line.id: line for line in page.rows}
    for move in moves:
        line = lines.get(move.id)
        if line is None and (page.after is None or move.name is None or move.assigned_user_id):
            return None  # a list that is whole lacks nothing, and of others we don't know the names
        if line is None or move.last_message_at > line.last_message_at:
            lines[move.id] = _moved(line, move)
    rows = sorted(lines.values(), key=_place, reverse=True)[:PAGE]
    return Page(rows, page.after and write_cursor(*_place(rows[-1])))


def _place(line: Line) -> tuple[datetime, int]:
    return line.last_message_at, line.id


def _moved(line: Line | None, move: Move) -> Line:
    """A name that is shown is newer than the move's: a change of it ends the list."""
    at, name, address = move.last_message_at, move.name or "", move.address or ""
    return replace(
        line or Line(move.id, "", 0, at, "", name, address, None),
        state=move.state,
        unread_count=move.unread_count,
        last_message_at=move.last_message_at,
        last_message_text=move.last_message_text,
    )


def _count_entry(inbox: Inbox, user_id: int) -> Entry[int]:
    """How many wait is one value for all; each has a topic of its own, since the messages that move
    the lists leave the counts as they are."""
    is_own = inbox is Inbox.MINE
    topic = count_of_user(user_id) if is_own else WAITING_COUNT
    name = f"count:{inbox}:{user_id}" if is_own else f"count:{inbox}"
    return Entry(COUNT, name, partial(count_inbox, inbox, user_id), (topic,))


def list_conversations(
    inbox: Inbox, user_id: int, typed: str = "", after: str | None = None
) -> Page[Line]:
    """The same, read from SQL."""
    rows = db.session.execute(list_statement(inbox, user_id, typed, after)).all()
    page = cut(rows, PAGE, lambda row: (row[0].last_message_at, row[0].id))
    return Page([_line(row) for row in page.rows], page.after)


def list_statement(inbox: Inbox, user_id: int, typed: str = "", after: str | None = None) -> Any:
    order = (Conversation.last_message_at, Conversation.id)
    # Outer joins, though both always fit: the list is walked in the order of its index, and
    # names are looked up for the rows that are shown.
    query = (
        sa.select(
            Conversation,
            Contact.name,
            sa.func.coalesce(Contact.phone, Contact.wa_id, ""),
            User.name,
        )
        .join(Contact, Contact.id == Conversation.contact_id, isouter=True)
        .join(User, User.id == Conversation.assigned_user_id, isouter=True)
        .where(*_in(inbox, user_id))
        .order_by(*(column.desc() for column in order))
        .limit(PAGE + 1)
    )
    wanted = matches(typed)
    if wanted is not None:
        query = query.where(Conversation.contact_id.in_(sa.select(Contact.id).where(wanted)))
    last = read_cursor(after, moment, row_id)
    return query if last is None else query.where(beyond(order, last, descending=True))


def _line(row: Any) -> Line:
    conversation, name, address, agent = row
    return Line(
        id=conversation.id,
        state=conversation.state,
        unread_count=conversation.unread_count,
        last_message_at=conversation.last_message_at,
        last_message_text=conversation.last_message_text,
        name=name or "",
        address=address or "",
        agent=agent,
    )


def _in(inbox: Inbox, user_id: int) -> list[sa.ColumnElement[bool]]:
    if inbox is Inbox.ALL:
        return []
    if inbox is Inbox.MINE:
        return [Conversation.assigned_user_id == user_id]
    return [Conversation.state == ConversationState(inbox.value)]


def count_inbox(inbox: Inbox, user_id: int) -> int:
    """How many it lists; counted up to COUNTED + 1."""
    some = sa.select(Conversation.id).where(*_in(inbox, user_id)).limit(COUNTED + 1).subquery()
    found: int = db.session.execute(sa.select(sa.func.count()).select_from(some)).scalar_one()
    return found
