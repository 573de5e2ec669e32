"""Heartbeats of workers in Redis, from which pages and `make run` see which workers are running."""

from __future__ import annotations

import os
import socket
import time
from collections import Counter
from typing import Any

import redis

from chatbot.core import redis as prosa_redis
from chatbot.core.redis import RedisError, key, ttl

INTERVAL_S = 15.0
_last_sent: dict[str, float] = {}


def send_heartbeat(queue: str) -> None:
    """Record that this process works on `queue`; costs a round trip every 15 s."""
    now = time.monotonic()
    if now - _last_sent.get(queue, -INTERVAL_S) < INTERVAL_S:
        return
    try:
        with prosa_redis.client().pipeline(transaction=False) as pipe:
            member = f"{queue}:{socket.gethostname()}:{os.getpid()}"
            pipe.zadd(key("worker", "heartbeats"), {member: time.time()})
            pipe.zremrangebyscore(key("worker", "heartbeats"), 0, time.time() - ttl("worker"))
            pipe.expire(key("worker", "heartbeats"), ttl("worker"))
            pipe.execute()
    except RedisError:
        return
    _last_sent[queue] = now


def query_heartbeats(pipe: redis.client.Pipeline) -> None:
    """Queue the query on a pipeline; `count_workers_by_queue` reads its answer."""
    pipe.zrangebyscore(key("worker", "heartbeats"), time.time() - 2 * INTERVAL_S, "+inf")


def count_workers_by_queue(members: Any) -> dict[str, int]:
    """Return the number of worker processes by queue."""
    names = (member.decode("utf-8", "replace").partition(":")[0] for member in members)
    return dict(Counter(names))
