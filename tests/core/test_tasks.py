from __future__ import annotations

import inspect
import os
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import redis
import sqlalchemy as sa
from flask import Flask
from rq import Queue, Worker
from rq.job import Job, JobStatus
from rq.serializers import JSONSerializer

from chatbot.core import redis as prosa_redis
from chatbot.core.after_commit import run_redis_after_commit
from chatbot.core.db import db
from chatbot.core.redis import create_blocking_client, key
from chatbot.core.tasks import (
    QUEUES,
    TASKS,
    dedupe_key,
    enqueue,
    enqueue_job,
    get_rq_queue,
    list_tasks,
    load_function,
)
from tests.support.call_counts import RedisProxy
from tests.support.redis_server import RedisServer
from workers.rq_worker import TaskWorker
from workers.run import wait_for_wakeup


@pytest.fixture
def rq_client(redis_server: RedisServer) -> Iterator[redis.Redis]:
    client = create_blocking_client(redis_server.url, "test", timeout_s=30)
    yield client
    client.connection_pool.disconnect()


def run_burst_worker(app: Flask, client: redis.Redis, queue: str) -> None:
    worker = TaskWorker(
        [get_rq_queue(client, queue)], connection=client, serializer=JSONSerializer, worker_ttl=45
    )
    worker.app = app
    worker.work(burst=True, logging_level="ERROR")


def begin() -> None:
    db.session.execute(sa.text("SELECT 1"))


@pytest.mark.parametrize("name", TASKS)
def test_the_function_of_every_task_exists(name: str) -> None:
    task = TASKS[name]
    assert callable(load_function(task.function))
    assert task.due_function is None or callable(load_function(task.due_function))
    assert name in list_tasks(task.queue)
    assert task.queue in QUEUES


def test_a_queue_has_loop_tasks_or_job_tasks_never_both() -> None:
    for queue in QUEUES:
        assert len({task.is_loop for task in list_tasks(queue).values()}) == 1


def test_an_unknown_task_is_refused(app: Flask) -> None:
    with pytest.raises(KeyError):
        enqueue("os.system", "true")
    with pytest.raises(KeyError):
        enqueue_job("os.system", "true")


def test_a_loop_task_is_enqueued_after_the_commit_and_not_after_a_rollback(
    app: Flask, redis_server: RedisServer
) -> None:
    name, admin = key("wakeup", "replies"), redis_server.admin
    begin()
    enqueue("conversations.deliver")
    db.session.rollback()
    assert not admin.exists(name)
    begin()
    enqueue("conversations.deliver")
    assert not admin.exists(name)
    db.session.commit()
    assert admin.llen(name) == 1
    assert 0 < admin.ttl(name) <= 60


def test_a_job_is_enqueued_after_the_commit_and_not_after_a_rollback(
    app: Flask, rq_client: redis.Redis
) -> None:
    queue = get_rq_queue(rq_client, "campaigns")
    begin()
    enqueue("campaigns.send", 1)
    db.session.rollback()
    assert queue.count == 0
    begin()
    enqueue("campaigns.send", 1)
    assert queue.count == 0
    db.session.commit()
    assert queue.count == 1


def test_a_task_that_is_enqueued_often_waits_once(app: Flask, redis_server: RedisServer) -> None:
    for _ in range(5):
        enqueue("bot.take_turns")
        enqueue("webhooks.messages")
        enqueue("campaigns.send", 1)
        enqueue("campaigns.send", 2)
    assert redis_server.admin.llen(key("wakeup", "inbound")) == 1
    assert get_rq_queue(prosa_redis.client(), "campaigns").count == 2


def test_all_loop_tasks_of_one_commit_are_one_round_trip(
    sqlite_url: str, tmp_path: Path, redis_server: RedisServer
) -> None:
    from chatbot import create_app
    from tests.support.settings import make_settings

    redis_proxy = RedisProxy(redis_server.url)
    app = create_app(make_settings(tmp_path, DATABASE_URL=sqlite_url, REDIS_URL=redis_proxy.url))
    with app.app_context():
        prosa_redis.client().ping()
        with redis_proxy.count_round_trips() as trips:
            begin()
            enqueue("bot.take_turns")
            enqueue("conversations.deliver")
            run_redis_after_commit(lambda pipe: pipe.set("x", 1, ex=5), key="x")
            db.session.commit()
        db.engine.dispose()
    assert trips.number == 1
    app.extensions["prosa_redis"].pool.disconnect()
    redis_proxy.close()


def test_enqueueing_without_redis_does_nothing(app: Flask, redis_server: RedisServer) -> None:
    redis_server.kill()
    begin()
    enqueue("bot.take_turns")
    enqueue("campaigns.send", 1)
    db.session.commit()
    enqueue_job("campaigns.sweep")


def test_a_started_job_may_be_enqueued_again(
    app: Flask, rq_client: redis.Redis, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(
        "chatbot.campaigns.tasks.send_due_messages", lambda n: (tmp_path / str(n)).touch()
    )
    enqueue_job("campaigns.send", 12)
    assert rq_client.exists(dedupe_key("campaigns.send", (12,)))
    run_burst_worker(app, rq_client, "campaigns")
    assert (tmp_path / "12").exists()
    assert not rq_client.exists(dedupe_key("campaigns.send", (12,)))


def enqueue_foreign_job(client: redis.Redis, function: Any, args: Any, **more: Any) -> Job:
    """Enqueue as an attacker who can write to Redis, but not change our code, would."""
    queue = Queue("campaigns", connection=client, serializer=JSONSerializer)
    return queue.enqueue_call(function, args=args, **more)


@pytest.mark.parametrize("function", ["os.mkdir", "os.system", "chatbot.core.tasks.load_function"])
def test_a_function_that_is_no_task_is_not_run(
    app: Flask, rq_client: redis.Redis, tmp_path: Path, function: str
) -> None:
    path = tmp_path / "executed"
    args = (f"touch {path}",) if function == "os.system" else (str(path),)
    job = enqueue_foreign_job(rq_client, function, args)
    run_burst_worker(app, rq_client, "campaigns")
    assert job.get_status() == JobStatus.FAILED
    assert "no task of this name" in str(job.latest_result().exc_string)  # type: ignore[union-attr]
    assert not path.exists()


def test_a_loop_task_is_not_run_as_a_job(app: Flask, rq_client: redis.Redis) -> None:
    job = enqueue_foreign_job(rq_client, "webhooks.messages", ())
    run_burst_worker(app, rq_client, "campaigns")
    assert job.get_status() == JobStatus.FAILED


@pytest.mark.parametrize("field", ["success_callback_name", "failure_callback_name"])
def test_planted_callbacks_are_not_run(
    app: Flask, rq_client: redis.Redis, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, field: str
) -> None:
    monkeypatch.setattr("chatbot.campaigns.tasks.send_due_messages", lambda _n: None)
    path = tmp_path / "executed"
    function = "campaigns.send" if field.startswith("success") else "os.getcwd"
    job = enqueue_foreign_job(rq_client, function, (1,))
    rq_client.hset(job.key, mapping={field: "os.mkdir", "description": str(path)})
    run_burst_worker(app, rq_client, "campaigns")
    assert not path.exists()
    assert job.get_status() in (JobStatus.FINISHED, JobStatus.FAILED)
    assert os.getpid()


def seconds_waited(at_most: float) -> float:
    began = time.monotonic()
    wait_for_wakeup("replies", at_most)
    return time.monotonic() - began


def test_a_loop_wakes_on_its_task_and_otherwise_waits(
    app: Flask, redis_server: RedisServer
) -> None:
    enqueue("conversations.deliver")
    assert seconds_waited(60) < 30
    assert seconds_waited(0.6) >= 0.6, "longer than one command waits"
    redis_server.admin.set(key("wakeup", "replies"), "of the wrong type", ex=60)
    assert seconds_waited(0.3) >= 0.25, "an error reply must not make the loop spin"
    redis_server.kill()
    assert seconds_waited(0.3) >= 0.25


def test_a_worker_takes_no_commands_from_redis(
    app: Flask, rq_client: redis.Redis, redis_server: RedisServer
) -> None:
    worker = TaskWorker(
        [get_rq_queue(rq_client, "maintenance")], connection=rq_client, serializer=JSONSerializer
    )
    worker.app = app
    worker.bootstrap(logging_level="ERROR")
    seen = redis_server.admin.pubsub_channels("*")
    worker.teardown()
    assert seen == []


def test_the_pinned_rq_has_the_parts_that_we_override() -> None:
    """Check at an upgrade of RQ: what `TaskJob` and `TaskWorker` override."""
    assert version("rq") == "3.0.0"
    assert "self.func(" in inspect.getsource(Job._execute)
    assert callable(Job.restore)
    for name in ("subscribe", "teardown", "request_stop", "perform_job", "heartbeat"):
        assert callable(getattr(Worker, name)), name
    for name in ("dequeue_timeout", "connection_timeout"):
        assert isinstance(getattr(Worker, name), property), name
