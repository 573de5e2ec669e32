"""The cached list of all conversations follows messages by their news, and is what SQL says, always."""

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
from chatbot.contacts.service import Sender
from chatbot.conversations import service
from chatbot.conversations.inbound import InboundMessage, record_inbound
from chatbot.conversations.models import EVERY_INBOX, Author, Conversation
from chatbot.conversations.news import Move, read_moves
from chatbot.conversations.outbound import queue_message
from chatbot.conversations.queries import (
    PAGE,
    Inbox,
    Line,
    list_conversations,
    read_inbox,
)
from chatbot.core import clock, events
from chatbot.core import redis as prosa_redis
from chatbot.core.cache import add_news, mark_of
from chatbot.core.db import db
from chatbot.core.pagination import Page
from tests.support.making import kept, make_channel
from tests.support.panel import make_user
from tests.support.redis_server import RedisServer
from tests.support.wire import Count, counted_sql

PEOPLE = PAGE + 10
TEXT = {"type": "text", "text": {"body": "ok"}}


@pytest.fixture
def user(any_app: Flask) -> User:
    return kept(make_user("Ana"))


@pytest.fixture
def people(user: User) -> None:
    for number in range(PEOPLE):
        write(number)


def write(number: int, text: str = "oi", at: datetime | None = None) -> None:
    """A customer writes, and it is recorded."""
    wamid, at = f"wamid.{number}.{time.monotonic_ns()}", at or clock.now()
    message = InboundMessage(wamid=wamid, kind="text", occurred_at=at, text=text)
    sender = Sender(wa_id=f"5511{980_000_000 + number}", name=f"P {number}")
    record_inbound(make_channel(), sender, message)
    done()


def answer(conversation_id: int, text: str) -> None:
    """The bot answers, which has not read who it is."""
    queue_message(service.get_for_change(conversation_id), TEXT, text, Author.BOT)
    done()


def change(conversation_id: int, act: Callable[[Conversation], object]) -> None:
    act(service.get_for_change(conversation_id))
    done()


def take_and_write(conversation: Conversation, user_id: int) -> None:
    queue_message(conversation, TEXT, "Bom dia", Author.AGENT, user_id)
    if conversation.assigned_user_id is None:
        service.assign(conversation, user_id)


def rename(conversation_id: int, name: str) -> None:
    contact_id = db.session.get_one(Conversation, conversation_id).contact_id
    db.session.get_one(Contact, contact_id).name = name
    done()


def done() -> None:
    db.session.commit()
    db.session.expunge_all()
    db.session.rollback()


def shown(user: User) -> Page[Line]:
    page, _ = read_inbox(Inbox.ALL, user.id)
    db.session.rollback()
    return page


def in_sql(user: User) -> Page[Line]:
    page = list_conversations(Inbox.ALL, user.id)
    db.session.expunge_all()
    db.session.rollback()
    return page


def lists_read(count: Count) -> int:
    return sum("LEFT OUTER JOIN users" in statement for statement in count.statements)


def test_messages_and_answers_move_the_list_and_nobody_reads_it_again(
    people: None, user: User
) -> None:
    shown(user)
    with counted_sql(db.engine) as count:
        for number in (3, PEOPLE - 1, 0, 3):  # not on the page yet, first, not on it, there by now
            write(number, "e aí?")
            answer(number + 1, "olá!")
            found = shown(user)
    assert lists_read(count) == 0
    assert found == in_sql(user)
    assert [line.id for line in found.rows[:3]] == [4, 1, PEOPLE]
    assert found.rows[0].last_message_text == "olá!"


@pytest.mark.parametrize("seed", range(4))
def test_whatever_happens_it_shows_what_sql_says(people: None, user: User, seed: int) -> None:
    chance = random.Random(seed)
    late = clock.now() - timedelta(hours=1)
    with counted_sql(db.engine) as count:
        for turn in range(60):
            number = chance.randrange(PEOPLE)
            acts: list[Callable[[], object]] = [
                lambda: write(number, f"oi {turn}"),  # noqa: B023
                lambda: answer(number + 1, f"olá {turn}"),  # noqa: B023
                lambda: write(number, f"antes {turn}", late),  # noqa: B023
                lambda: write(PEOPLE + turn),  # noqa: B023
                lambda: change(number + 1, lambda c: service.hand_off(c, "agent")),  # noqa: B023
                lambda: change(number + 1, lambda c: service.assign(c, user.id)),  # noqa: B023
                lambda: change(number + 1, lambda c: service.mark_read(c, user.id)),  # noqa: B023
                lambda: change(number + 1, service.close),  # noqa: B023
                lambda: rename(number + 1, f"Nome {turn}"),  # noqa: B023
                lambda: change(number + 1, lambda c: take_and_write(c, user.id)),  # noqa: B023
            ]
            chance.choices(acts, [30, 30, 5, 5, 6, 6, 6, 6, 6, 6])[0]()
            assert shown(user) == in_sql(user), turn
    assert lists_read(count) < 60 + 50, "one of each turn is the test's own"


def test_a_move_that_is_told_late_changes_nothing(people: None, user: User) -> None:
    page = shown(user)
    first = page.rows[0]
    stale = Move(first.id, "bot", None, 9, first.last_message_at, "antes", "Outra", "1")
    tell(stale)
    assert shown(user) == page


def test_a_name_that_is_shown_is_newer_than_that_of_a_move(people: None, user: User) -> None:
    line = shown(user).rows[0]
    later = line.last_message_at + timedelta(seconds=1)
    tell(Move(line.id, "bot", None, 2, later, "depois", "Como se chamava", "1"))
    found = shown(user).rows[0]
    assert (found.name, found.address) == (line.name, line.address)
    assert (found.last_message_text, found.unread_count) == ("depois", 2)


def test_what_a_savepoint_took_back_is_not_told(people: None, user: User) -> None:
    page = shown(user)
    conversation = service.get_for_change(page.rows[-1].id)
    savepoint = db.session.begin_nested()
    queue_message(conversation, TEXT, "nunca", Author.BOT)
    db.session.flush()
    savepoint.rollback()
    done()
    assert shown(user) == page == in_sql(user)


def test_what_was_never_told_is_read_within_half_a_minute(
    people: None, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = shown(user)
    with monkeypatch.context() as dying:  # between the commit and the telling
        dying.setattr(events, "tell_redis", lambda _commands: None)
        answer(1, "olá!")
    assert shown(user) == page
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 30)
    assert shown(user) == in_sql(user) != page


def test_what_is_not_ours_in_the_topic_makes_it_stale(
    people: None, user: User, redis_server: RedisServer
) -> None:
    page = shown(user)
    redis_server.admin.append(mark_of(EVERY_INBOX), b"{garbage\n")
    with counted_sql(db.engine) as count:
        assert shown(user) == page
    assert lists_read(count) == 1
    assert read_moves(b"\xff\n") is None


def test_a_topic_grows_only_so_far(people: None, user: User, redis_server: RedisServer) -> None:
    shown(user)
    for turn in range(60):
        answer(1, "x" * 150 + str(turn))
        assert redis_server.admin.strlen(mark_of(EVERY_INBOX)) <= 8_000
        assert shown(user).rows[0].last_message_text.endswith(str(turn))
    assert redis_server.admin.ttl(mark_of(EVERY_INBOX)) > 0


def tell(move: Move) -> None:
    with prosa_redis.client().pipeline(transaction=False) as pipe:
        add_news(pipe, EVERY_INBOX, msgspec.json.encode(move) + b"\n")
        pipe.execute()
