from __future__ import annotations

import os

import msgspec
import pytest
import sqlalchemy as sa
from flask import Flask

from chatbot.conversations.context import (
    MAX_CONTEXT_MESSAGES,
    MAX_CONTEXT_TEXT,
    Context,
    load_context,
    store_context,
)
from chatbot.conversations.models import Conversation, Message
from chatbot.core.db import db
from chatbot.core.redis import key
from tests.support.factories import ago, make_conversation, make_inbound
from tests.support.redis_server import RedisServer


def make_messages(conversation: Conversation, count: int) -> None:
    for number in range(count):
        make_inbound(conversation, f"{number}", occurred_at=ago(100 - number), needs_turn=False)


def test_the_context_is_rebuilt_from_sql_after_redis_lost_it(
    any_app: Flask, redis_server: RedisServer
) -> None:
    conversation = make_conversation(version=3, last_intent="greeting", slots={"a": 1})
    make_messages(conversation, MAX_CONTEXT_MESSAGES + 4)
    rebuilt = load_context(conversation)
    assert (rebuilt.version, rebuilt.last_intent, rebuilt.slots) == (3, "greeting", {"a": 1})
    assert [line.text for line in rebuilt.messages] == [
        str(n) for n in range(4, MAX_CONTEXT_MESSAGES + 4)
    ]
    db.session.rollback()
    store_context(conversation.id, rebuilt)
    assert 0 < redis_server.admin.ttl(key("conversation", conversation.id)) <= 86400
    db.session.execute(sa.delete(Message))
    db.session.commit()
    assert load_context(conversation) == rebuilt, "read from Redis"
    redis_server.flush()
    assert load_context(conversation).messages == []
    db.session.rollback()


def test_a_copy_of_another_version_is_stale(any_app: Flask) -> None:
    conversation = make_conversation(version=5)
    store_context(conversation.id, Context(version=4, last_intent="old"))
    assert load_context(conversation).last_intent is None
    db.session.rollback()
    store_context(conversation.id, Context(version=5, last_intent="new"))
    assert load_context(conversation).last_intent == "new"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xc1",
        b"0 \x80",
        b"0 " + msgspec.msgpack.encode([1]),
        b"\xff" * 99,
        b"0 " + b"\x91" * 9999,
    ],
)
def test_garbage_is_a_miss_and_overwritten(
    app: Flask, redis_server: RedisServer, raw: bytes
) -> None:
    conversation = make_conversation(last_intent="sql")
    redis_server.admin.set(key("conversation", conversation.id), raw)
    check_overwritten(conversation)


def check_overwritten(conversation: Conversation) -> None:
    assert load_context(conversation).last_intent == "sql"
    db.session.rollback()
    store_context(conversation.id, Context(version=conversation.version, last_intent="redis"))
    assert load_context(conversation).last_intent == "redis"
    db.session.rollback()


@pytest.mark.parametrize("kind", ["list", "hash"])
def test_another_type_is_a_miss_and_overwritten(
    app: Flask, redis_server: RedisServer, kind: str
) -> None:
    conversation = make_conversation(last_intent="sql")
    name = key("conversation", conversation.id)
    if kind == "list":
        redis_server.admin.lpush(name, "x")
    else:
        redis_server.admin.hset(name, "x", "y")
    check_overwritten(conversation)


def test_an_earlier_turn_that_reaches_redis_later_is_ignored(app: Flask) -> None:
    conversation = make_conversation(version=6)
    for version in (5, 6, 5, 4):
        store_context(conversation.id, Context(version=version, last_intent=f"of turn {version}"))
    assert load_context(conversation).last_intent == "of turn 6"
    db.session.rollback()


def test_the_last_turn_of_concurrent_workers_is_kept(app: Flask) -> None:
    """Store from several processes at the same time."""
    conversation = make_conversation(version=40)
    children = []
    for worker in range(4):
        pid = os.fork()
        if pid == 0:
            try:
                for version in range(worker + 1, 41, 4):
                    store_context(conversation.id, Context(version, slots={"turn": version}))
            finally:
                os._exit(0)
        children.append(pid)
    for pid in children:
        os.waitpid(pid, 0)
    assert load_context(conversation) == Context(40, slots={"turn": 40})
    db.session.rollback()


def test_without_redis_the_context_is_read_from_sql(app: Flask, redis_server: RedisServer) -> None:
    conversation = make_conversation(last_intent="sql")
    redis_server.kill()
    assert load_context(conversation).last_intent == "sql"
    db.session.rollback()
    store_context(conversation.id, Context(version=0))


def test_the_context_is_stored_only_after_a_commit(app: Flask, redis_server: RedisServer) -> None:
    conversation = make_conversation()
    db.session.execute(sa.text("SELECT 1"))
    store_context(conversation.id, Context(version=0))
    db.session.rollback()
    assert not redis_server.admin.exists(key("conversation", conversation.id))


def test_the_context_keeps_the_last_ten_messages_cut_to_length() -> None:
    context = Context(version=0)
    for number in range(MAX_CONTEXT_MESSAGES + 5):
        context.add("bot", f"{number:02d}" + "x" * 2 * MAX_CONTEXT_TEXT)
    assert len(context.messages) == MAX_CONTEXT_MESSAGES
    assert context.messages[0].text.startswith("05")
    assert {len(line.text) for line in context.messages} == {MAX_CONTEXT_TEXT}
