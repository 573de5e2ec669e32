"""A writer to Redis can run no code here: no key that Prosa or its extensions read is unpickled, and no
job names a function of its own choice.
"""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import redis
from flask import Flask
from rq.serializers import JSONSerializer

from chatbot.accounts.models import Role
from chatbot.bot.tasks import run_turns
from chatbot.conversations.context import load_context, store_context
from chatbot.conversations.models import Conversation
from chatbot.core import redis as prosa_redis
from chatbot.core.cache.stats import flush_counts
from chatbot.core.db import db
from chatbot.core.tasks import TASKS, enqueue_job, get_rq_queue, list_tasks
from chatbot.delivery.throttle import Throttle, ThrottleLimits
from chatbot.extensions import cache
from tests.support.clients import PanelClient, make_signed_in_client
from tests.support.factories import make_conversation, make_inbound
from tests.support.redis_server import RedisServer
from workers.rq_worker import TaskWorker

# Keys that the extensions would read with their own defaults.
EXTENSION_DEFAULT_KEYS = [
    "flask_cache_x",
    "session:x",
    "LIMITER/x",
    "LIMITS:x",
    "rq:queues",
    "rq:queue:campaigns",
]


class PickleBomb:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def use_everything(client: PanelClient, conversation: Conversation) -> None:
    """Use each reader of Redis once: pages, cache, limits, sessions, context, throttle, tasks."""
    for path in ("/", "/now", "/conversations/", "/conversations/1/live", "/contacts/1", "/redis/"):
        assert client.get(path).status_code in (200, 302), path
    assert client.get("/cache/stats").status_code == 200
    assert client.get("/metrics").status_code == 200
    cache.set("x", 1)
    cache.get("x")
    store_context(conversation.id, load_context(conversation))
    db.session.rollback()
    make_inbound(conversation, "oi")
    run_turns()
    Throttle(prosa_redis.client(), ThrottleLimits(1, 80)).reserve(1)
    enqueue_job("campaigns.sweep")
    flush_counts(prosa_redis.client())


def plant_everywhere(admin: redis.Redis, raw: bytes) -> set[str]:
    """Write the same bytes into each existing key, keeping its type; return the namespaces."""
    planted = set()
    for name in list(admin.scan_iter()):
        kind = admin.type(name).decode()
        planted.add(name.decode().split(":")[1])
        if kind == "string":
            admin.set(name, raw, ex=600)
        elif kind == "hash":
            admin.hset(name, mapping=dict.fromkeys([*admin.hkeys(name), "data", "result"], raw))
        elif kind == "list":
            admin.lpush(name, raw)
        elif kind == "zset":
            admin.zadd(name, {raw: 9e12})
        elif kind == "set":
            admin.sadd(name, raw)
        elif kind == "stream":
            admin.xadd(name, {"type": "1", "return_value": raw, "exc_string": raw})
    for name in EXTENSION_DEFAULT_KEYS:
        admin.set(name, raw, ex=600)
    return planted


@pytest.mark.parametrize("prefix", [b"", b"!"], ids=["pickle", "prefixed as by Flask-Caching"])
def test_a_pickle_under_every_key_is_never_run(
    app: Flask, redis_server: RedisServer, tmp_path: Path, prefix: bytes
) -> None:
    client, _ = make_signed_in_client(app, Role.ADMIN)
    conversation = make_conversation()
    use_everything(client, conversation)
    path = tmp_path / "executed"
    planted = plant_everywhere(redis_server.admin, prefix + pickle.dumps(PickleBomb(path)))
    assert planted >= {
        "cache", "cachetag", "cacheepoch", "cachestats", "session", "limit", "conversation", "wakeup",
        "throttle", "dedupe", "rq",
    }  # fmt: skip
    use_everything(client, conversation)
    run_burst_worker(app, redis_server.admin)
    assert not path.exists()
    assert client.is_signed_in(), "the session came back from SQL"


@pytest.mark.parametrize("queue", ["campaigns", "maintenance"])
@pytest.mark.parametrize("data", ["pickle", "os.system", "a loop task"])
def test_a_planted_job_is_not_run(
    app: Flask, redis_server: RedisServer, tmp_path: Path, queue: str, data: str
) -> None:
    path = tmp_path / "executed"
    loop = next(name for name, task in TASKS.items() if task.is_loop)
    raw = {
        "pickle": pickle.dumps(PickleBomb(path)),
        "os.system": JSONSerializer.dumps(["os.system", None, [f"touch {path}"], {}]),
        "a loop task": JSONSerializer.dumps([loop, None, [], {}]),
    }[data]
    admin = redis_server.admin
    job = {"data": raw, "status": "queued", "origin": queue, "timeout": "30",
           "created_at": "2026-01-01T00:00:00.000000Z", "enqueued_at": "2026-01-01T00:00:00.000000Z",
           "success_callback_name": "os.mkdir", "failure_callback_name": "os.mkdir"}  # fmt: skip
    admin.hset("prosa:rq:job:planted", mapping=job)
    admin.rpush(f"prosa:rq:queue:{queue}", "planted")
    run_burst_worker(app, admin, queue)
    assert not path.exists()
    assert admin.hget("prosa:rq:job:planted", "status") != b"finished"


def run_burst_worker(app: Flask, client: redis.Redis, queue: str = "maintenance") -> None:
    assert not all(task.is_loop for task in list_tasks(queue).values())
    worker = TaskWorker([get_rq_queue(client, queue)], connection=client, serializer=JSONSerializer)
    worker.app, worker.on_stop = app, lambda: None
    worker.work(burst=True, logging_level="CRITICAL")


def test_planted_values_are_overwritten(app: Flask, redis_server: RedisServer) -> None:
    client, _ = make_signed_in_client(app)
    redis_server.flush()  # drop keys that only the sign-in reads
    for _ in range(2):
        client.get("/conversations/")
    read = {"cache", "cachetag", "cacheepoch", "limit"}
    names = [name for name in redis_server.admin.scan_iter() if name.decode().split(":")[1] in read]
    assert {name.decode().split(":")[1] for name in names} == read
    for name in names:
        redis_server.admin.delete(name)
        redis_server.admin.hset(name, "another", "type")
    for _ in range(3):
        assert client.get("/conversations/").status_code == 200
    kinds = {name: redis_server.admin.type(name) for name in names}
    assert set(kinds.values()) == {b"string"}, kinds
