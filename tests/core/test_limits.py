from __future__ import annotations

import inspect
import re
from importlib.metadata import version
from pathlib import Path

import pytest
from flask import Flask
from limits.strategies import FixedWindowRateLimiter

from chatbot import create_app
from chatbot.core import redis as prosa_redis
from chatbot.extensions import limiter
from tests.support.ports import wait_for
from tests.support.redis_server import RedisServer
from tests.support.settings import make_settings


def make_limited_app(sqlite_url: str, home: Path, url: str | None, **more: str) -> Flask:
    settings = make_settings(home, DATABASE_URL=sqlite_url, REDIS_URL=url, **more)
    app = create_app(settings)
    limit = limiter.limit("4 per minute", override_defaults=True)

    @app.get("/limited")
    @limit
    def _limited() -> str:
        return "ok"

    return app


def get_status_codes(app: Flask, count: int) -> list[int]:
    client = app.test_client()
    return [client.get("/limited").status_code for _ in range(count)]


def test_two_processes_count_together(
    sqlite_url: str, tmp_path: Path, redis_server: RedisServer
) -> None:
    one, two = (make_limited_app(sqlite_url, tmp_path, redis_server.url) for _ in range(2))
    assert get_status_codes(one, 2) + get_status_codes(two, 3) == [200, 200, 200, 200, 429]
    ttls = [redis_server.admin.ttl(k) for k in redis_server.admin.scan_iter(match="prosa:limit:*")]
    assert ttls
    assert all(0 < seconds <= 60 for seconds in ttls)


@pytest.mark.parametrize("processes", [1, 2])
def test_without_redis_each_process_grants_its_share(
    sqlite_url: str, tmp_path: Path, redis_server: RedisServer, processes: int
) -> None:
    app = make_limited_app(sqlite_url, tmp_path, redis_server.url, WEB_CONCURRENCY=str(processes))
    redis_server.kill()
    granted = get_status_codes(app, 6).count(200)
    assert granted == 4 // processes
    redis_server.start()
    wait_for(lambda: not app.extensions["prosa_redis"].pool.breaker.is_open, 5)
    assert get_status_codes(app, 5) == [200] * 4 + [429]


def test_requests_of_machines_are_not_limited(app: Flask, redis_server: RedisServer) -> None:
    client = app.test_client()
    prosa_redis.client().ping()
    for path in ("/health", "/cache/stats", "/webhooks/whatsapp"):
        client.get(path)
    assert list(redis_server.admin.scan_iter(match="prosa:limit:*")) == []
    client.get("/login")
    assert len(list(redis_server.admin.scan_iter(match="prosa:limit:*"))) == 1


def test_two_applications_in_one_process_keep_their_counts_apart(
    sqlite_url: str, tmp_path: Path, redis_server: RedisServer
) -> None:
    url = redis_server.url
    first = make_limited_app(sqlite_url, tmp_path, f"{url}?db=0")
    second = make_limited_app(sqlite_url, tmp_path, f"{url}?db=1")
    third = make_limited_app(sqlite_url, tmp_path, None, REDIS_ENABLED="false")
    for app in (first, second, third):
        codes = [app.test_client().get("/limited").status_code for _ in range(5)]
        assert codes[-1] == 429
        assert codes.count(200) == (4 if app is not third else 2)
    assert len(list(redis_server.admin.scan_iter(match="prosa:limit:*"))) == 1
    for app in (first, second):
        app.extensions["prosa_redis"].pool.disconnect()


def test_a_route_can_be_exempt(sqlite_url: str, tmp_path: Path, redis_server: RedisServer) -> None:
    app = create_app(make_settings(tmp_path, DATABASE_URL=sqlite_url, REDIS_URL=redis_server.url))

    @app.get("/unlimited")
    @limiter.exempt
    def _unlimited() -> str:
        return "ok"

    answer = app.test_client().get("/unlimited")
    assert (answer.status_code, "RateLimit-Limit" in answer.headers) == (200, False)
    app.extensions["prosa_redis"].pool.disconnect()


def test_the_pinned_version_calls_our_storage_as_it_expects() -> None:
    """Check at an upgrade of Flask-Limiter or limits: the methods that its strategies call."""
    assert version("flask-limiter") == "4.1.1"
    source = inspect.getsource(FixedWindowRateLimiter)
    called = set(re.findall(r"self\.storage\.(\w+)", source))
    assert called == {"incr", "get", "get_expiry"}
