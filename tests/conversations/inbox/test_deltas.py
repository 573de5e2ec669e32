"""Deltas keep the cached list of all conversations equal to SQL."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec
import pytest
from flask import Flask

from chatbot.accounts.models import User
from chatbot.contacts.models import Contact
from chatbot.contacts.service import SenderIdentity
from chatbot.conversations import service
from chatbot.conversations.cache_deltas import ConversationDelta, decode_deltas
from chatbot.conversations.inbound import InboundMessage, record_inbound
from chatbot.conversations.inbox.queries import (
    PAGE_SIZE,
    Inbox,
    InboxRow,
    get_inbox,
    list_conversations,
)
from chatbot.conversations.models import INBOX_CACHE_TAG, Author, Conversation
from chatbot.conversations.outbound import queue_message
from chatbot.core import after_commit, clock
from chatbot.core import redis as prosa_redis
from chatbot.core.cache import append_delta, tag_version_key
from chatbot.core.db import db
from chatbot.core.pagination import Page
from tests.support.call_counts import CallCount, count_sql
from tests.support.factories import commit_and_detach, make_channel
from tests.support.panel import make_user
from tests.support.redis_server import RedisServer

PEOPLE = PAGE_SIZE + 10
TEXT = {"type": "text", "text": {"body": "ok"}}


@pytest.fixture
def user(any_app: Flask) -> User:
    return commit_and_detach(make_user("Ana"))


@pytest.fixture
def people(user: User) -> None:
    for number in range(PEOPLE):
        record_message(number)


def record_message(number: int, text: str = "oi", at: datetime | None = None) -> None:
    """Record a message of a contact."""
    wamid, at = f"wamid.{number}.{time.monotonic_ns()}", at or clock.now()
    message = InboundMessage(wamid=wamid, kind="text", occurred_at=at, text=text)
    sender = SenderIdentity(wa_id=f"5511{980_000_000 + number}", name=f"P {number}")
    record_inbound(make_channel(), sender, message)
    commit_and_clear()


def queue_bot_answer(conversation_id: int, text: str) -> None:
    """Queue an answer of the bot, which has not loaded the contact."""
    queue_message(service.get_for_update(conversation_id), TEXT, text, Author.BOT)
    commit_and_clear()


def change(conversation_id: int, act: Callable[[Conversation], object]) -> None:
    act(service.get_for_update(conversation_id))
    commit_and_clear()


def take_and_write(conversation: Conversation, user_id: int) -> None:
    queue_message(conversation, TEXT, "Bom dia", Author.AGENT, user_id)
    if conversation.assigned_user_id is None:
        service.assign(conversation, user_id)


def rename(conversation_id: int, name: str) -> None:
    contact_id = db.session.get_one(Conversation, conversation_id).contact_id
    db.session.get_one(Contact, contact_id).name = name
    commit_and_clear()


def commit_and_clear() -> None:
    db.session.commit()
    db.session.expunge_all()
    db.session.rollback()


def read_cached_page(user: User) -> Page[InboxRow]:
    page, _ = get_inbox(Inbox.ALL, user.id)
    db.session.rollback()
    return page


def read_sql_page(user: User) -> Page[InboxRow]:
    page = list_conversations(Inbox.ALL, user.id)
    db.session.expunge_all()
    db.session.rollback()
    return page


def count_list_queries(count: CallCount) -> int:
    return sum("LEFT OUTER JOIN users" in statement for statement in count.statements)


def test_messages_update_the_cached_list_without_reading_it_again(people: None, user: User) -> None:
    read_cached_page(user)
    with count_sql(db.engine) as count:
        for number in (
            3,
            PEOPLE - 1,
            0,
            3,
        ):  # not on the page, its first row, not on it, on it by now
            record_message(number, "e aí?")
            queue_bot_answer(number + 1, "olá!")
            found = read_cached_page(user)
    assert count_list_queries(count) == 0
    assert found == read_sql_page(user)
    assert [line.id for line in found.rows[:3]] == [4, 1, PEOPLE]
    assert found.rows[0].last_message_text == "olá!"


@pytest.mark.parametrize("seed", range(4))
def test_the_cached_list_always_equals_sql(people: None, user: User, seed: int) -> None:
    rng = random.Random(seed)
    late = clock.now() - timedelta(hours=1)
    with count_sql(db.engine) as count:
        for turn in range(60):
            number = rng.randrange(PEOPLE)
            acts: list[Callable[[], object]] = [
                lambda: record_message(number, f"oi {turn}"),  # noqa: B023
                lambda: queue_bot_answer(number + 1, f"olá {turn}"),  # noqa: B023
                lambda: record_message(number, f"antes {turn}", late),  # noqa: B023
                lambda: record_message(PEOPLE + turn),  # noqa: B023
                lambda: change(number + 1, lambda c: service.hand_off(c, "agent")),  # noqa: B023
                lambda: change(number + 1, lambda c: service.assign(c, user.id)),  # noqa: B023
                lambda: change(number + 1, lambda c: service.mark_read(c, user.id)),  # noqa: B023
                lambda: change(number + 1, service.close),  # noqa: B023
                lambda: rename(number + 1, f"Nome {turn}"),  # noqa: B023
                lambda: change(number + 1, lambda c: take_and_write(c, user.id)),  # noqa: B023
            ]
            rng.choices(acts, [30, 30, 5, 5, 6, 6, 6, 6, 6, 6])[0]()
            assert read_cached_page(user) == read_sql_page(user), turn
    assert count_list_queries(count) < 60 + 50, "one of each turn is the test's own"


def test_a_late_delta_changes_nothing(people: None, user: User) -> None:
    page = read_cached_page(user)
    first = page.rows[0]
    old_delta = ConversationDelta(
        first.id, "bot", None, 9, first.last_message_at, "antes", "Outra", "1"
    )
    publish_delta(old_delta)
    assert read_cached_page(user) == page


def test_a_cached_name_wins_over_the_name_of_a_delta(people: None, user: User) -> None:
    line = read_cached_page(user).rows[0]
    later = line.last_message_at + timedelta(seconds=1)
    publish_delta(
        ConversationDelta(line.id, "bot", None, 2, later, "depois", "Como se chamava", "1")
    )
    found = read_cached_page(user).rows[0]
    assert (found.name, found.address) == (line.name, line.address)
    assert (found.last_message_text, found.unread_count) == ("depois", 2)


def test_a_rolled_back_savepoint_publishes_no_delta(people: None, user: User) -> None:
    page = read_cached_page(user)
    conversation = service.get_for_update(page.rows[-1].id)
    savepoint = db.session.begin_nested()
    queue_message(conversation, TEXT, "nunca", Author.BOT)
    db.session.flush()
    savepoint.rollback()
    commit_and_clear()
    assert read_cached_page(user) == page == read_sql_page(user)


def test_a_lost_delta_is_repaired_within_half_a_minute(
    people: None, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = read_cached_page(user)
    with monkeypatch.context() as dying:  # fails between the commit and the delta
        dying.setattr(after_commit, "run_redis_commands", lambda _commands: None)
        queue_bot_answer(1, "olá!")
    assert read_cached_page(user) == page
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 30)
    assert read_cached_page(user) == read_sql_page(user) != page


def test_an_unreadable_delta_invalidates_the_list(
    people: None, user: User, redis_server: RedisServer
) -> None:
    page = read_cached_page(user)
    redis_server.admin.append(tag_version_key(INBOX_CACHE_TAG), b"{garbage\n")
    with count_sql(db.engine) as count:
        assert read_cached_page(user) == page
    assert count_list_queries(count) == 1
    assert decode_deltas(b"\xff\n") is None


def test_the_list_of_deltas_is_bounded(people: None, user: User, redis_server: RedisServer) -> None:
    read_cached_page(user)
    for turn in range(60):
        queue_bot_answer(1, "x" * 150 + str(turn))
        assert redis_server.admin.strlen(tag_version_key(INBOX_CACHE_TAG)) <= 8_000
        assert read_cached_page(user).rows[0].last_message_text.endswith(str(turn))
    assert redis_server.admin.ttl(tag_version_key(INBOX_CACHE_TAG)) > 0


def publish_delta(move: ConversationDelta) -> None:
    with prosa_redis.client().pipeline(transaction=False) as pipe:
        append_delta(pipe, INBOX_CACHE_TAG, msgspec.json.encode(move) + b"\n")
        pipe.execute()
