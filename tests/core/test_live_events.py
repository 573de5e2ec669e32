from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from chatbot import create_app
from chatbot.core import live_events
from chatbot.core import redis as prosa_redis
from chatbot.core.db import db
from chatbot.core.live_events import (
    PUBSUB_CHANNEL,
    STATE_KEY,
    LiveEvent,
    LiveEventKind,
    publish,
    publish_now,
)
from chatbot.core.tasks import enqueue
from tests.support.call_counts import RedisProxy
from tests.support.redis_server import RedisServer
from tests.support.settings import make_settings


class EventSubscriber:
    """Subscriber to the channel of live events."""

    def __init__(self, server: RedisServer) -> None:
        self._subscription = server.admin.pubsub()
        self._subscription.subscribe(PUBSUB_CHANNEL)
        self._subscription.get_message(timeout=5)

    def read_events(self) -> list[LiveEvent]:
        found = []
        # The events are already published: the short timeout is only for the socket.
        while message := self._subscription.get_message(timeout=0.2):
            event = live_events.parse_live_event(message["data"])
            assert event is not None
            found.append(event)
        return found

    def close(self) -> None:
        self._subscription.close()


@pytest.fixture
def subscriber(app: Flask, redis_server: RedisServer) -> Iterator[EventSubscriber]:
    subscriber = EventSubscriber(redis_server)
    yield subscriber
    subscriber.close()


def begin() -> None:
    db.session.execute(sa.text("SELECT 1"))


def test_an_event_leaves_with_the_commit_once_per_subject(subscriber: EventSubscriber) -> None:
    begin()
    publish(LiveEventKind.CONVERSATION, 7)
    publish(LiveEventKind.CONVERSATION, 7)
    publish(LiveEventKind.CAMPAIGN, 7)
    assert subscriber.read_events() == []
    db.session.commit()
    events = subscriber.read_events()
    assert [(event.kind, event.id) for event in events] == [
        (LiveEventKind.CONVERSATION, 7),
        (LiveEventKind.CAMPAIGN, 7),
    ]
    assert [event.seq for event in events] == [1, 2]
    assert len({event.epoch for event in events}) == 1


def test_a_rollback_publishes_nothing(subscriber: EventSubscriber) -> None:
    begin()
    publish(LiveEventKind.CONVERSATION, 7)
    db.session.rollback()
    assert subscriber.read_events() == []


def test_tasks_and_live_events_of_one_commit_are_one_round_trip(
    app: Flask, redis_server: RedisServer
) -> None:
    redis_proxy = RedisProxy(redis_server.url)
    pool = prosa_redis.create_pool(redis_proxy.url, max_connections=2)
    state = app.extensions["prosa_redis"]
    client = state.client.__class__(connection_pool=pool)
    app.extensions["prosa_redis"] = prosa_redis.RedisState(redis_proxy.url, pool, client)
    client.ping()
    with redis_proxy.count_round_trips() as trips:
        begin()
        enqueue("bot.take_turns")
        publish(LiveEventKind.CONVERSATION, 1)
        publish(LiveEventKind.CONVERSATION, 2)
        db.session.commit()
    assert trips.number == 1
    app.extensions["prosa_redis"] = state
    pool.disconnect()
    redis_proxy.close()


def test_many_changes_of_one_batch_are_one_event(subscriber: EventSubscriber) -> None:
    publish_now(LiveEventKind.CONVERSATION, range(live_events.MAX_EVENTS_PER_BATCH))
    assert {event.id for event in subscriber.read_events()} == set(
        range(live_events.MAX_EVENTS_PER_BATCH)
    )
    publish_now(LiveEventKind.CONVERSATION, range(live_events.MAX_EVENTS_PER_BATCH + 1))
    assert [event.id for event in subscriber.read_events()] == [None]
    publish_now(LiveEventKind.CONVERSATION, [])
    assert subscriber.read_events() == []


def test_an_emptied_redis_begins_another_live_epoch(
    subscriber: EventSubscriber, redis_server: RedisServer
) -> None:
    publish(LiveEventKind.HEALTH)
    [before] = subscriber.read_events()
    redis_server.flush()
    publish(LiveEventKind.HEALTH)
    [after] = subscriber.read_events()
    assert before.epoch != after.epoch
    assert (before.seq, after.seq) == (1, 1)


@pytest.mark.parametrize("garbage", ["a text", {"epoch": "x"}, {"epoch": "x", "seq": "many"}])
def test_garbage_in_the_live_event_key_is_overwritten(
    subscriber: EventSubscriber, redis_server: RedisServer, garbage: Any
) -> None:
    if isinstance(garbage, str):
        redis_server.admin.set(STATE_KEY, garbage)
    else:
        redis_server.admin.hset(STATE_KEY, mapping=garbage)
    publish(LiveEventKind.HEALTH)
    [event] = subscriber.read_events()
    assert (len(event.epoch), event.seq) == (12, 1)
    assert redis_server.admin.ttl(STATE_KEY) > 0


def test_an_outage_ends_the_live_epoch_because_events_may_be_lost(
    subscriber: EventSubscriber, app: Flask, redis_server: RedisServer
) -> None:
    publish(LiveEventKind.HEALTH)
    [before] = subscriber.read_events()
    assert live_events.start_live_epoch in prosa_redis.breaker().on_recovery
    live_events.start_live_epoch(prosa_redis.client())
    [after] = subscriber.read_events()
    assert after.epoch != before.epoch


def test_the_position_is_that_of_the_last_event(app: Flask) -> None:
    epoch, seq = live_events.read_live_position(prosa_redis.client())
    assert (len(epoch), seq) == (12, 0)
    publish(LiveEventKind.HEALTH)
    assert live_events.read_live_position(prosa_redis.client()) == (epoch, 1)


def test_publishing_without_redis_does_nothing(sqlite_url: str, tmp_path: Any) -> None:
    from_nothing = make_settings(tmp_path, DATABASE_URL=sqlite_url)
    app = create_app(from_nothing)
    with app.app_context():
        publish(LiveEventKind.HEALTH)
        publish_now(LiveEventKind.HEALTH, [None])
        assert live_events.read_live_position(prosa_redis.client()) == ("", 0)
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
def test_an_unreadable_event_is_none(raw: object) -> None:
    assert live_events.parse_live_event(raw) is None
