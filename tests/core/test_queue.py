from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import sqlalchemy as sa
from flask import Flask
from rq import Queue
from rq.job import Job, JobStatus
from rq.serializers import JSONSerializer

from chatbot.core import redis as prosa_redis
from chatbot.core.db import db
from chatbot.core.events import redis_after_commit
from chatbot.core.queue import (
    BELLS,
    QUEUES,
    bells_of,
    resolve,
    ring,
    ring_job,
    rq_queue,
    rung_key,
)
from chatbot.core.redis import blocking_client, key
from tests.support.redis_server import RedisServer
from tests.support.wire import RedisWire
from workers.jobs import BellWorker
from workers.run import listen


@pytest.fixture
def rq_client(redis_server: RedisServer) -> Iterator[redis.Redis]:
    client = blocking_client(redis_server.url, "test", timeout_s=30)
    yield client
    client.connection_pool.disconnect()


def work_off(app: Flask, client: redis.Redis, queue: str) -> None:
    worker = BellWorker(
        [rq_queue(client, queue)], connection=client, serializer=JSONSerializer, worker_ttl=45
    )
    worker.app = app
    worker.work(burst=True, logging_level="ERROR")


def begin() -> None:
    db.session.execute(sa.text("SELECT 1"))


@pytest.mark.parametrize("name", BELLS)
def test_the_function_of_every_bell_exists(name: str) -> None:
    bell = BELLS[name]
    assert callable(resolve(bell.function))
    assert bell.due is None or callable(resolve(bell.due))
    assert name in bells_of(bell.queue)
    assert bell.queue in QUEUES


def test_a_queue_has_loop_bells_or_job_bells_never_both() -> None:
    for queue in QUEUES:
        assert len({bell.is_loop for bell in bells_of(queue).values()}) == 1


def test_an_unknown_bell_is_refused(app: Flask) -> None:
    with pytest.raises(KeyError):
        ring("os.system", "true")
    with pytest.raises(KeyError):
        ring_job("os.system", "true")


def test_a_loop_is_rung_after_the_commit_and_not_after_a_rollback(
    app: Flask, redis_server: RedisServer
) -> None:
    name, admin = key("bell", "replies"), redis_server.admin
    begin()
    ring("conversations.deliver")
    db.session.rollback()
    assert not admin.exists(name)
    begin()
    ring("conversations.deliver")
    assert not admin.exists(name)
    db.session.commit()
    assert admin.llen(name) == 1
    assert 0 < admin.ttl(name) <= 60


def test_a_job_is_rung_after_the_commit_and_not_after_a_rollback(
    app: Flask, rq_client: redis.Redis
) -> None:
    queue = rq_queue(rq_client, "campaigns")
    begin()
    ring("campaigns.send", 1)
    db.session.rollback()
    assert queue.count == 0
    begin()
    ring("campaigns.send", 1)
    assert queue.count == 0
    db.session.commit()
    assert queue.count == 1


def test_a_bell_that_is_rung_often_waits_once(app: Flask, redis_server: RedisServer) -> None:
    for _ in range(5):
        ring("bot.turns")
        ring("webhooks.messages")
        ring("campaigns.send", 1)
        ring("campaigns.send", 2)
    assert redis_server.admin.llen(key("bell", "inbound")) == 1
    assert rq_queue(prosa_redis.client(), "campaigns").count == 2


def test_all_loops_of_one_commit_are_rung_in_one_round_trip(
    sqlite_url: str, tmp_path: Path, redis_server: RedisServer
) -> None:
    from chatbot import create_app
    from tests.support.settings import make_settings

    wire = RedisWire(redis_server.url)
    app = create_app(make_settings(tmp_path, DATABASE_URL=sqlite_url, REDIS_URL=wire.url))
    with app.app_context():
        prosa_redis.client().ping()
        with wire.counted() as trips:
            begin()
            ring("bot.turns")
            ring("conversations.deliver")
            redis_after_commit(lambda pipe: pipe.set("x", 1, ex=5), key="x")
            db.session.commit()
        db.engine.dispose()
    assert trips.number == 1
    app.extensions["prosa_redis"].pool.disconnect()
    wire.close()


def test_without_redis_ringing_harms_nobody(app: Flask, redis_server: RedisServer) -> None:
    redis_server.kill()
    begin()
    ring("bot.turns")
    ring("campaigns.send", 1)
    db.session.commit()
    ring_job("campaigns.settle")


def test_a_job_that_begins_may_be_rung_again(
    app: Flask, rq_client: redis.Redis, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("chatbot.campaigns.jobs.send", lambda n: (tmp_path / str(n)).touch())
    ring_job("campaigns.send", 12)
    assert rq_client.exists(rung_key("campaigns.send", (12,)))
    work_off(app, rq_client, "campaigns")
    assert (tmp_path / "12").exists()
    assert not rq_client.exists(rung_key("campaigns.send", (12,)))


def plant(client: redis.Redis, function: Any, args: Any, **more: Any) -> Job:
    """As somebody who can write to Redis, but not to our code, would."""
    queue = Queue("campaigns", connection=client, serializer=JSONSerializer)
    return queue.enqueue_call(function, args=args, **more)


@pytest.mark.parametrize("function", ["os.mkdir", "os.system", "chatbot.core.queue.resolve"])
def test_a_function_that_is_no_bell_is_not_run(
    app: Flask, rq_client: redis.Redis, tmp_path: Path, function: str
) -> None:
    path = tmp_path / "executed"
    args = (f"touch {path}",) if function == "os.system" else (str(path),)
    job = plant(rq_client, function, args)
    work_off(app, rq_client, "campaigns")
    assert job.get_status() == JobStatus.FAILED
    assert "no bell of this name" in str(job.latest_result().exc_string)  # type: ignore[union-attr]
    assert not path.exists()


def test_a_loops_bell_is_not_run_as_a_job(app: Flask, rq_client: redis.Redis) -> None:
    job = plant(rq_client, "webhooks.messages", ())
    work_off(app, rq_client, "campaigns")
    assert job.get_status() == JobStatus.FAILED


@pytest.mark.parametrize("field", ["success_callback_name", "failure_callback_name"])
def test_planted_callbacks_are_not_run(
    app: Flask, rq_client: redis.Redis, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, field: str
) -> None:
    monkeypatch.setattr("chatbot.campaigns.jobs.send", lambda _n: None)
    path = tmp_path / "executed"
    function = "campaigns.send" if field.startswith("success") else "os.getcwd"
    job = plant(rq_client, function, (1,))
    rq_client.hset(job.key, mapping={field: "os.mkdir", "description": str(path)})
    work_off(app, rq_client, "campaigns")
    assert not path.exists()
    assert job.get_status() in (JobStatus.FINISHED, JobStatus.FAILED)
    assert os.getpid()


def seconds_listening(at_most: float) -> float:
    began = time.monotonic()
    listen("replies", at_most)
    return time.monotonic() - began


def test_a_loop_hears_its_bell_and_else_waits(app: Flask, redis_server: RedisServer) -> None:
    ring("conversations.deliver")
    assert seconds_listening(60) < 30
    assert seconds_listening(0.6) >= 0.6, "longer than one command waits"
    redis_server.admin.set(key("bell", "replies"), "of the wrong type", ex=60)
    assert seconds_listening(0.3) >= 0.25, "what Redis refuses must not make a loop spin"
    redis_server.kill()
    assert seconds_listening(0.3) >= 0.25


def test_nobody_can_command_a_worker_through_redis(
    app: Flask, rq_client: redis.Redis, redis_server: RedisServer
) -> None:
    worker = BellWorker(
        [rq_queue(rq_client, "maintenance")], connection=rq_client, serializer=JSONSerializer
    )
    worker.app = app
    worker.bootstrap(logging_level="ERROR")
    seen = redis_server.admin.pubsub_channels("*")
    worker.teardown()
    assert seen == []
