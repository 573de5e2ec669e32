"""Lists and counts of the inbox by filter, in a constant number of statements a page."""

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
from chatbot.core.cache import CacheEntry, CacheSpec
from chatbot.core.clock import parse_time
from chatbot.core.db import db
from chatbot.core.pagination import (
    Page,
    build_page,
    decode_cursor,
    encode_cursor,
    parse_row_id,
    rows_after,
)
from chatbot.extensions import cache

PAGE_SIZE = 30
MAX_BADGE_COUNT = 99  # a badge need not count further


class Inbox(StrEnum):
    """Filter of the list."""

    ALL = "all"
    WAITING = "waiting"
    MINE = "mine"
    BOT = "bot"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Waiting:
    """Since when and why a conversation waits for a person, and what its customer wrote last."""

    since: datetime
    reason: str | None
    last_words: str


@dataclass(frozen=True, slots=True)
class InboxRow:
    """Conversation as the list shows it."""

    id: int
    state: str
    unread_count: int
    last_message_at: datetime
    last_message_text: str
    name: str
    address: str
    agent: str | None
    waiting: Waiting | None = None  # only in the list of waiting conversations


INBOX_CACHE: CacheSpec[Page[InboxRow]] = CacheSpec(
    "conversations", Page[InboxRow], fresh_s=300, stale_s=60
)
# Short, because a delta is lost if its worker dies after the commit.
DELTA_INBOX_CACHE: CacheSpec[Page[InboxRow]] = CacheSpec(
    "conversations", Page[InboxRow], fresh_s=20, stale_s=10
)
COUNT_CACHE: CacheSpec[int] = CacheSpec("conversations", int, fresh_s=300, stale_s=60)


def get_inbox(
    inbox: Inbox, user_id: int, typed: str = "", after: str | None = None
) -> tuple[Page[InboxRow], dict[str, int]]:
    """Return a page of the list and the counts of its badges.

    The counts and the first page without a search are cached. Raises InvalidInput for a broken cursor.
    """
    counts = [_count_cache_entry(Inbox.WAITING, user_id), _count_cache_entry(Inbox.MINE, user_id)]
    if typed or after:
        waiting, mine = cache.get_or_compute_all(*counts)
        page = list_conversations(inbox, user_id, typed, after)
    else:
        page, waiting, mine = cache.get_or_compute_all(_inbox_cache_entry(inbox, user_id), *counts)
    return page, {Inbox.WAITING.value: waiting, Inbox.MINE.value: mine}


def _inbox_cache_entry(inbox: Inbox, user_id: int) -> CacheEntry[Page[InboxRow]]:
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


def apply_deltas(page: Page[InboxRow], encoded: bytes) -> Page[InboxRow] | None:
    """Apply encoded deltas to the first page of all conversations; return None if it must be read again."""
    deltas = decode_deltas(encoded)
    if deltas is None:
        return None
    by_id = {row.id: row for row in page.rows}
    for delta in deltas:
        row = by_id.get(delta.id)
        if row is None and (page.after is None or delta.name is None or delta.assigned_user_id):
            return (
                None  # a complete page can't lack a row, and the contact or agent has no known name
            )
        if row is None or delta.last_message_at > row.last_message_at:
            by_id[delta.id] = _apply_delta(row, delta)
    rows = sorted(by_id.values(), key=_sort_key, reverse=True)[:PAGE_SIZE]
    return Page(rows, page.after and encode_cursor(*_sort_key(rows[-1])))


def _sort_key(row: InboxRow) -> tuple[datetime, int]:
    return row.last_message_at, row.id


def _apply_delta(row: InboxRow | None, delta: ConversationDelta) -> InboxRow:
    """Return the row after the delta.

    The name of an existing row is kept: a change of name would have invalidated the page.
    """
    at, name, address = delta.last_message_at, delta.name or "", delta.address or ""
    return replace(
        row or InboxRow(delta.id, "", 0, at, "", name, address, None),
        state=delta.state,
        unread_count=delta.unread_count,
        last_message_at=delta.last_message_at,
        last_message_text=delta.last_message_text,
    )


def _count_cache_entry(inbox: Inbox, user_id: int) -> CacheEntry[int]:
    """Return the cache entry of a badge's count.

    Counts have cache tags of their own, because most messages change the lists but not the counts.
    """
    is_own = inbox is Inbox.MINE
    cache_tag = user_count_cache_tag(user_id) if is_own else WAITING_COUNT_CACHE_TAG
    name = f"count:{inbox}:{user_id}" if is_own else f"count:{inbox}"
    return CacheEntry(COUNT_CACHE, name, partial(count_inbox, inbox, user_id), (cache_tag,))


def list_conversations(
    inbox: Inbox, user_id: int, typed: str = "", after: str | None = None
) -> Page[InboxRow]:
    """Read a page of the list from SQL."""
    rows = db.session.execute(build_list_query(inbox, user_id, typed, after)).all()
    moment = _get_order_column(inbox).key
    page = build_page(rows, PAGE_SIZE, lambda row: (getattr(row[0], moment), row[0].id))
    return Page([_build_row(row, inbox) for row in page.rows], page.after)


def build_list_query(inbox: Inbox, user_id: int, typed: str = "", after: str | None = None) -> Any:
    is_oldest_first = inbox is Inbox.WAITING
    order = (_get_order_column(inbox), Conversation.id)
    # Outer joins, so that the planner walks the index in order and looks up names only for the rows
    # of the page.
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
        .order_by(*(column if is_oldest_first else column.desc() for column in order))
        .limit(PAGE_SIZE + 1)
    )
    wanted = search_condition(typed)
    if wanted is not None:
        query = query.where(Conversation.contact_id.in_(sa.select(Contact.id).where(wanted)))
    last = decode_cursor(after, parse_time, parse_row_id)
    if last is None:
        return query
    return query.where(rows_after(order, last, descending=not is_oldest_first))


def _get_order_column(inbox: Inbox) -> Any:
    """Return the column to sort by: the longest wait comes first, elsewhere the latest message."""
    return Conversation.waiting_since if inbox is Inbox.WAITING else Conversation.last_message_at


def _build_row(row: Any, inbox: Inbox) -> InboxRow:
    conversation, name, address, agent = row
    waiting = None
    if inbox is Inbox.WAITING:
        waiting = Waiting(
            conversation.waiting_since, conversation.handoff_reason, conversation.last_inbound_text
        )
    return InboxRow(
        id=conversation.id,
        state=conversation.state,
        unread_count=conversation.unread_count,
        last_message_at=conversation.last_message_at,
        last_message_text=conversation.last_message_text,
        name=name or "",
        address=address or "",
        agent=agent,
        waiting=waiting,
    )


def _inbox_conditions(inbox: Inbox, user_id: int) -> list[sa.ColumnElement[bool]]:
    if inbox is Inbox.ALL:
        return []
    if inbox is Inbox.MINE:
        return [Conversation.assigned_user_id == user_id]
    if inbox is Inbox.WAITING:  # as the state says, and served by the partial index
        return [Conversation.waiting_since.is_not(None)]
    return [Conversation.state == ConversationState(inbox.value)]


def count_inbox(inbox: Inbox, user_id: int) -> int:
    """Return the number of conversations in the list, at most MAX_BADGE_COUNT + 1."""
    some = (
        sa.select(Conversation.id)
        .where(*_inbox_conditions(inbox, user_id))
        .limit(MAX_BADGE_COUNT + 1)
        .subquery()
    )
    found: int = db.session.execute(sa.select(sa.func.count()).select_from(some)).scalar_one()
    return found
