"""Flask-Caching's own calls, and lookups counted over all processes."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

from chatbot.core import redis as prosa_redis
from chatbot.core.cache import CacheEntry, CacheSpec, stats
from chatbot.core.redis import key
from chatbot.extensions import cache
from chatbot.ops.cache_stats import get_cache_stats
from tests.support.ports import wait_for
from tests.support.redis_server import RedisServer

PANEL_SPEC: CacheSpec[Any] = CacheSpec("panel", Any, fresh_s=60)


@pytest.fixture(autouse=True)
def _fresh_counts(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Start at zero and without the flusher thread, which would take the counts away."""
    monkeypatch.setattr(stats, "_start_flusher", lambda: None)
    stats._counts.clear()


def make_entry(compute: Callable[[], Any]) -> CacheEntry[Any]:
    return CacheEntry(PANEL_SPEC, "x", compute)


def test_flask_cachings_own_calls_use_the_same_store(app: Flask, redis_server: RedisServer) -> None:
    assert cache.set("a", {"b": 1})
    assert (cache.get("a"), cache.has("a"), cache.get_many("a", "c")) == (
        {"b": 1}, True, [{"b": 1}, None],
    )  # fmt: skip
    assert not cache.add("a", 2)
    cache.delete("a")
    assert cache.add("a", 2)
    redis_server.admin.lpush(key("cache", "flask", "list"), "x")
    assert cache.get("list") is None
    cache.clear()
    assert cache.get("a") is None


def test_counts_of_two_processes_are_summed_and_none_is_counted_twice(app: Flask) -> None:
    client = prosa_redis.client()
    for _ in range(2):
        cache.get_or_compute(make_entry(lambda: "12345"))
    pid = os.fork()
    if pid == 0:
        try:
            cache.get_or_compute(make_entry(lambda: "12345"))
            cache.get_or_compute(CacheEntry(CacheSpec("bot", Any, fresh_s=60), 1, lambda: 1))
            stats.flush_counts(client)
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    found = get_cache_stats()
    assert (found["hits"], found["misses"], found["hit_rate"]) == (2, 2, 50.0)
    assert found["namespaces"]["bot"]["misses"] == 1
    assert found["namespaces"]["panel"]["hit_rate"] == pytest.approx(66.67)
    assert found["namespaces"]["panel"]["bytes"] == 3 * 6
    assert len(found["history"]) == 24
    assert sum(hour["hits"] for hour in found["history"][-2:]) == 2


def test_counts_wait_for_redis_to_come_back(app: Flask, redis_server: RedisServer) -> None:
    client = prosa_redis.client()
    for _ in range(2):
        cache.get_or_compute(make_entry(lambda: 1))
    redis_server.kill()
    stats.flush_counts(client)
    cache.get_or_compute(make_entry(lambda: 1))
    redis_server.start()
    wait_for(lambda: not prosa_redis.breaker().is_open)
    found = get_cache_stats()
    assert (found["hits"], found["errors"]) == (1, 1)
