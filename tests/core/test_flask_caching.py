"""Flask-Caching's documented methods on our store: no pickle, no KEYS, our namespace, a TTL on every key."""

from __future__ import annotations

import inspect
from importlib.metadata import version
from pathlib import Path

import flask_caching
from flask import Flask
from flask_caching.backends.rediscache import RedisCache

from chatbot import create_app
from chatbot.core.cache.backend import SafeRedisCache
from chatbot.extensions import cache
from tests.support.call_counts import RedisProxy
from tests.support.redis_server import RedisServer
from tests.support.settings import make_settings


def test_memoized_functions_and_cached_views_work_as_documented(app: Flask) -> None:
    calls: list[int] = []

    @cache.memoize(timeout=60)
    def double(number: int) -> int:
        calls.append(number)
        return 2 * number

    assert [double(2), double(2), double(3)] == [4, 4, 6]
    assert calls == [2, 3]
    cache.delete_memoized(double, 2)
    assert [double(2), double(3)] == [4, 6]
    assert calls == [2, 3, 2]
    cache.delete_memoized(double)
    assert double(3) == 6
    assert calls == [2, 3, 2, 3]


def test_a_cached_view_is_computed_once(
    sqlite_url: str, tmp_path: Path, redis_server: RedisServer
) -> None:
    app = create_app(make_settings(tmp_path, DATABASE_URL=sqlite_url, REDIS_URL=redis_server.url))
    calls: list[str] = []

    @app.get("/counted")
    @cache.cached(timeout=60, query_string=True)
    def _counted() -> str:
        calls.append("called")
        return "body"

    client = app.test_client()
    assert [client.get(f"/counted?page={page}").text for page in (1, 1, 2)] == ["body"] * 3
    assert len(calls) == 2
    app.extensions["prosa_redis"].pool.disconnect()


def test_every_key_has_our_namespace_a_ttl_and_no_pickle(
    app: Flask, redis_server: RedisServer
) -> None:
    cache.set("plain", {"a": [1, "é"]}, timeout=60)
    cache.set("for ever", 1, timeout=0)
    cache.set_many({"one": 1, "two": None})

    @cache.memoize()
    def name_of(number: int) -> str:
        return str(number)

    name_of(1)
    names = list(redis_server.admin.scan_iter(match="*cache*"))
    assert len(names) >= 5
    for name in names:
        assert name.startswith(b"prosa:"), name
        assert redis_server.admin.ttl(name) > 0, name
        assert not (redis_server.admin.get(name) or b"").startswith(b"\x80"), name
    assert cache.get_many("one", "missing", "plain") == [1, None, {"a": [1, "é"]}]


def test_several_keys_are_read_in_one_round_trip(
    sqlite_url: str, tmp_path: Path, redis_server: RedisServer
) -> None:
    proxy = RedisProxy(redis_server.url)
    app = create_app(make_settings(tmp_path, DATABASE_URL=sqlite_url, REDIS_URL=proxy.url))
    with app.app_context():
        cache.set("a", 1)
        with proxy.count_round_trips() as trips:
            assert cache.get_many("a", "b", "c") == [1, None, None]
    assert trips.number == 1
    app.extensions["prosa_redis"].pool.disconnect()
    proxy.close()


def test_the_pinned_version_has_the_parts_that_we_override() -> None:
    """Check at an upgrade of Flask-Caching: the backend's methods, and how it is made."""
    assert version("flask-caching") == "2.5.1"
    for name in (
        "get",
        "set",
        "add",
        "delete",
        "delete_many",
        "get_many",
        "set_many",
        "has",
        "clear",
    ):
        assert callable(getattr(RedisCache, name)), name
        assert name in vars(SafeRedisCache), f"{name} would use pickle"
    assert "factory" in inspect.getsource(flask_caching.Cache._set_cache)
