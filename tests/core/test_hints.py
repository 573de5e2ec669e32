from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from chatbot import create_app
from chatbot.core import hints
from chatbot.core import redis as prosa_redis
from chatbot.core.db import db
from chatbot.core.hints import CHANNEL, STATE, Hint, Kind, publish, publish_committed
from chatbot.core.queue import ring
from tests.support.redis_server import RedisServer
from tests.support.settings import make_settings
from tests.support.wire import RedisWire


class Ear:
    """Hears what is published on the hints' channel."""

    def __init__(self, server: RedisServer) -> None:
        self._subscription = server.admin.pubsub()
        self._subscription.subscribe(CHANNEL)
        self._subscription.get_message(timeout=5)

    def hear(self) -> list[Hint]:
        found = []
        # Published before we ask, in the order of the server: a short wait is for the socket only.
        while message := self._subscription.get_message(timeout=0.2):
            hint = hints.read_hint(message["data"])
            assert hint is not None
            found.append(hint)
        return found

    def close(self) -> None:
        self._subscription.close()


@pytest.fixture
def ear(app: Flask, redis_server: RedisServer) -> Iterator[Ear]:
    ear = Ear(redis_server)
    yield ear
    ear.close()


def begin() -> None:
    db.session.execute(sa.text("SELECT 1"))


def test_a_hint_leaves_with_the_commit_and_once_for_each_thing(ear: Ear) -> None:
    begin()
    publish(Kind.CONVERSATION, 7)
    publish(Kind.CONVERSATION, 7)
    publish(Kind.CAMPAIGN, 7)
    assert ear.hear() == []
    db.session.commit()
    heard = ear.hear()
    assert [(hint.kind, hint.id) for hint in heard] == [
        (Kind.CONVERSATION, 7),
        (Kind.CAMPAIGN, 7),
    ]
    assert [hint.seq for hint in heard] == [1, 2]
    assert len({hint.epoch for hint in heard}) == 1


def test_what_is_rolled_back_nobody_hears(ear: Ear) -> None:
    begin()
    publish(Kind.CONVERSATION, 7)
    db.session.rollback()
    assert ear.hear() == []


def test_bells_and_hints_of_one_commit_are_one_round_trip(
    app: Flask, redis_server: RedisServer
) -> None:
    wire = RedisWire(redis_server.url)
    pool = prosa_redis.make_pool(wire.url, max_connections=2)
    state = app.extensions["prosa_redis"]
    client = state.client.__class__(connection_pool=pool)
    app.extensions["prosa_redis"] = prosa_redis.RedisState(wire.url, pool, client)
    client.ping()
    with wire.counted() as trips:
        begin()
        ring("bot.turns")
        publish(Kind.CONVERSATION, 1)
        publish(Kind.CONVERSATION, 2)
        db.session.commit()
    assert trips.number == 1
    app.extensions["prosa_redis"] = state
    pool.disconnect()
    wire.close()


def test_many_changes_of_one_batch_are_told_as_one(ear: Ear) -> None:
    publish_committed(Kind.CONVERSATION, range(hints.MOST))
    assert {hint.id for hint in ear.hear()} == set(range(hints.MOST))
    publish_committed(Kind.CONVERSATION, range(hints.MOST + 1))
    assert [hint.id for hint in ear.hear()] == [None]
    publish_committed(Kind.CONVERSATION, [])
    assert ear.hear() == []


def test_a_redis_that_has_forgotten_begins_another_epoch(
    ear: Ear, redis_server: RedisServer
) -> None:
    publish(Kind.HEALTH)
    [before] = ear.hear()
    redis_server.flush()
    publish(Kind.HEALTH)
    [after] = ear.hear()
    assert before.epoch != after.epoch
    assert (before.seq, after.seq) == (1, 1)


@pytest.mark.parametrize("garbage", ["a text", {"epoch": "x"}, {"epoch": "x", "seq": "many"}])
def test_garbage_in_the_hints_place_is_overwritten(
    ear: Ear, redis_server: RedisServer, garbage: Any
) -> None:
    if isinstance(garbage, str):
        redis_server.admin.set(STATE, garbage)
    else:
        redis_server.admin.hset(STATE, mapping=garbage)
    publish(Kind.HEALTH)
    [hint] = ear.hear()
    assert (len(hint.epoch), hint.seq) == (12, 1)
    assert redis_server.admin.ttl(STATE) > 0


def test_an_outage_ends_the_epoch_since_it_may_have_swallowed_hints(
    ear: Ear, app: Flask, redis_server: RedisServer
) -> None:
    publish(Kind.HEALTH)
    [before] = ear.hear()
    assert hints.renew_epoch in prosa_redis.breaker().on_recovery
    hints.renew_epoch(prosa_redis.client())
    [after] = ear.hear()
    assert after.epoch != before.epoch


def test_the_position_is_that_of_the_last_hint_and_an_epoch_begins_with_it(app: Flask) -> None:
    epoch, seq = hints.read_position(prosa_redis.client())
    assert (len(epoch), seq) == (12, 0)
    publish(Kind.HEALTH)
    assert hints.read_position(prosa_redis.client()) == (epoch, 1)


def test_without_redis_nobody_is_told_and_nothing_fails(sqlite_url: str, tmp_path: Any) -> None:
    from_nothing = make_settings(tmp_path, DATABASE_URL=sqlite_url)
    app = create_app(from_nothing)
    with app.app_context():
        publish(Kind.HEALTH)
        publish_committed(Kind.HEALTH, [None])
        assert hints.read_position(prosa_redis.client()) == ("", 0)
        db.engine.dispose()


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xff",
        b"[]",
        json.dumps({"epoch": "a", "seq": "1", "kind": "health"}).encode(),
        json.dumps({"epoch": "a", "seq": 1, "kind": "secrets"}).encode(),
        "text",
        1,
    ],
)
def test_what_is_no_hint_of_ours_is_none(raw: object) -> None:
    assert hints.read_hint(raw) is None
