"""What the inbox lists, by filter; each page in a constant number of statements."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from functools import partial
from typing import Any

import sqlalchemy as sa

from chatbot.accounts.models import USERS_CACHE_TAG, User
from chatbot.contacts.models import CONTACTS_CACHE_TAG, Contact
from chatbot.contacts.search import search_condition
from chatbot.conversations.cache_deltas import ConversationDelta, decode_deltas
from chatbot.conversations.models import (
    INBOX_CACHE_TAG,
    WAITING_COUNT_CACHE_TAG,
    Conversation,
    ConversationState,
    state_inbox_cache_tag,
    user_count_cache_tag,
    user_inbox_cache_tag,
)
from chatbot.core.cache import CacheEntry, CacheSpec, get_or_compute_all
from chatbot.core.db import db
from chatbot.core.pagination import (
    Page,
    build_page,
    decode_cursor,
    encode_cursor,
    parse_row_id,
    parse_timestamp,
    rows_after,
)

PAGE_SIZE = 30
MAX_BADGE_COUNT = 99  # a badge need not count further


class Inbox(StrEnum):
    """The filters of the list."""

    ALL = "all"
    WAITING = "waiting"
    MINE = "mine"
    BOT = "bot"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class InboxRow:
    """One conversation in the list."""

    id: int
    state: str
    unread_count: int
    last_message_at: datetime
    last_message_text: str
    name: str
    address: str
    agent: str | None


INBOX_CACHE: CacheSpec[Page[InboxRow]] = CacheSpec(
    "conversations", Page[InboxRow], fresh_s=300, stale_s=60
)
# What was never told, since the worker died after its commit, is made good by reading anew.
DELTA_INBOX_CACHE: CacheSpec[Page[InboxRow]] = CacheSpec(
    "conversations", Page[InboxRow], fresh_s=20, stale_s=10
)
COUNT_CACHE: CacheSpec[int] = CacheSpec("conversations", int, fresh_s=300, stale_s=60)


def get_inbox(
    inbox: Inbox, user_id: int, typed: str = "", after: str | None = None
) -> tuple[Page[InboxRow], dict[str, int]]:
    """A page of the list and the counts of its badges; what everybody looks at, which is the first
    page without a search, is cached. Raises InvalidInput for a broken cursor."""
    counts = [_count_cache_entry(Inbox.WAITING, user_id), _count_cache_entry(Inbox.MINE, user_id)]
    if typed or after:
        waiting, mine = get_or_compute_all(*counts)
        page = list_conversations(inbox, user_id, typed, after)
    else:
        page, waiting, mine = get_or_compute_all(_inbox_cache_entry(inbox, user_id), *counts)
    return page, {Inbox.WAITING.value: waiting, Inbox.MINE.value: mine}


def _inbox_cache_entry(inbox: Inbox, user_id: int) -> CacheEntry[Page[InboxRow]]:
    """Only one's own list depends on who looks."""
    cache_tag = {Inbox.ALL: INBOX_CACHE_TAG, Inbox.MINE: user_inbox_cache_tag(user_id)}.get(
        inbox, state_inbox_cache_tag(inbox.value)
    )
    cache_name = f"{inbox}:{user_id}" if inbox is Inbox.MINE else inbox
    compute = partial(list_conversations, inbox, user_id)
    cache_tags = (cache_tag, CONTACTS_CACHE_TAG, USERS_CACHE_TAG)
    if inbox is Inbox.ALL:
        return CacheEntry(
            DELTA_INBOX_CACHE, cache_name, compute, cache_tags, apply_delta=apply_deltas
        )
    return CacheEntry(INBOX_CACHE, cache_name, compute, cache_tags)


def apply_deltas(page: Page[InboxRow], news: bytes) -> Page[InboxRow] | None:
    """The first page of all conversations after the messages that came since it was read; None when it
    has to be read again."""
    deltas = decode_deltas(news)
    if deltas is None:
        return None
    lines = {line.id: line for line in page.rows}
    for delta in deltas:
        line = lines.get(delta.id)
        if line is None and (page.after is None or delta.name is None or delta.assigned_user_id):
            return None  # a list that is whole lacks nothing, and of others we don't know the names
        if line is None or delta.last_message_at > line.last_message_at:
            lines[delta.id] = _apply_delta(line, delta)
    rows = sorted(lines.values(), key=_sort_key, reverse=True)[:PAGE_SIZE]
    return Page(rows, page.after and encode_cursor(*_sort_key(rows[-1])))


def _sort_key(line: InboxRow) -> tuple[datetime, int]:
    return line.last_message_at, line.id


def _apply_delta(line: InboxRow | None, delta: ConversationDelta) -> InboxRow:
    """A name that is shown is newer than the move's: a change of it ends the list."""
    at, name, address = delta.last_message_at, delta.name or "", delta.address or ""
    return replace(
        line or InboxRow(delta.id, "", 0, at, "", name, address, None),
        state=delta.state,
        unread_count=delta.unread_count,
        last_message_at=delta.last_message_at,
        last_message_text=delta.last_message_text,
    )


def _count_cache_entry(inbox: Inbox, user_id: int) -> CacheEntry[int]:
    """How many wait is one value for all; each has a topic of its own, since the messages that move
    the lists leave the counts as they are."""
    is_own = inbox is Inbox.MINE
    cache_tag = user_count_cache_tag(user_id) if is_own else WAITING_COUNT_CACHE_TAG
    name = f"count:{inbox}:{user_id}" if is_own else f"count:{inbox}"
    return CacheEntry(COUNT_CACHE, name, partial(count_inbox, inbox, user_id), (cache_tag,))


def list_conversations(
    inbox: Inbox, user_id: int, typed: str = "", after: str | None = None
) -> Page[InboxRow]:
    """The same, read from SQL."""
    rows = db.session.execute(build_list_query(inbox, user_id, typed, after)).all()
    page = build_page(rows, PAGE_SIZE, lambda row: (row[0].last_message_at, row[0].id))
    return Page([_build_row(row) for row in page.rows], page.after)


def build_list_query(inbox: Inbox, user_id: int, typed: str = "", after: str | None = None) -> Any:
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
        .where(*_inbox_conditions(inbox, user_id))
        .order_by(*(column.desc() for column in order))
        .limit(PAGE_SIZE + 1)
    )
    wanted = search_condition(typed)
    if wanted is not None:
        query = query.where(Conversation.contact_id.in_(sa.select(Contact.id).where(wanted)))
    last = decode_cursor(after, parse_timestamp, parse_row_id)
    return query if last is None else query.where(rows_after(order, last, descending=True))


def _build_row(row: Any) -> InboxRow:
    conversation, name, address, agent = row
    return InboxRow(
        id=conversation.id,
        state=conversation.state,
        unread_count=conversation.unread_count,
        last_message_at=conversation.last_message_at,
        last_message_text=conversation.last_message_text,
        name=name or "",
        address=address or "",
        agent=agent,
    )


def _inbox_conditions(inbox: Inbox, user_id: int) -> list[sa.ColumnElement[bool]]:
    if inbox is Inbox.ALL:
        return []
    if inbox is Inbox.MINE:
        return [Conversation.assigned_user_id == user_id]
    return [Conversation.state == ConversationState(inbox.value)]


def count_inbox(inbox: Inbox, user_id: int) -> int:
    """How many it lists; counted up to COUNTED + 1."""
    some = (
        sa.select(Conversation.id)
        .where(*_inbox_conditions(inbox, user_id))
        .limit(MAX_BADGE_COUNT + 1)
        .subquery()
    )
    found: int = db.session.execute(sa.select(sa.func.count()).select_from(some)).scalar_one()
    return found
