from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from flask import Flask

from chatbot.accounts.models import User
from chatbot.core import redis as prosa_redis
from chatbot.core.cache import (
    MAX_VALUE_BYTES,
    CacheEntry,
    CacheSpec,
    get_or_compute,
    get_or_compute_all,
    invalidate,
    invalidate_now,
    stats,
    store,
)
from chatbot.core.db import db
from chatbot.core.redis import key
from chatbot.extensions import cache
from tests.support.panel import make_user
from tests.support.ports import wait_for
from tests.support.redis_server import RedisServer

ANYTHING_SPEC: CacheSpec[Any] = CacheSpec("panel", Any, fresh_s=60)
BRIEF_SPEC: CacheSpec[Any] = CacheSpec("panel", Any, fresh_s=1, stale_s=60)


@pytest.fixture(autouse=True)
def _fresh_counts(redis_server: RedisServer) -> None:
    stats._counts.clear()


class Source:
    """Function to cache that counts its calls."""

    def __init__(self, *values: Any) -> None:
        self.values = list(values)
        self.calls = 0

    def __call__(self) -> Any:
        self.calls += 1
        return self.values.pop(0) if len(self.values) > 1 else self.values[0]


def make_entry(
    compute: Callable[[], Any], *cache_tags: str, spec: CacheSpec[Any] = ANYTHING_SPEC
) -> CacheEntry[Any]:
    return CacheEntry(spec, "x", compute, cache_tags)


@pytest.mark.parametrize("value", [7, None, [], {"a": [1, "ç"]}])
def test_a_value_is_computed_once_also_when_there_is_none(app: Flask, value: Any) -> None:
    source = Source(value)
    assert [get_or_compute(make_entry(source, "t")) for _ in range(3)] == [value] * 3
    assert source.calls == 1


def test_an_invalidated_value_is_computed_again_after_the_commit(app: Flask) -> None:
    source = Source("old", "new")
    assert get_or_compute(make_entry(source, "t")) == "old"
    db.session.execute(sa.text("SELECT 1"))
    invalidate("t")
    assert get_or_compute(make_entry(source, "t")) == "old"
    db.session.commit()
    assert get_or_compute(make_entry(source, "t")) == "new"


def test_a_rollback_invalidates_nothing_and_a_savepoint_rollback_keeps_the_rest(app: Flask) -> None:
    source = Source(1, 2, 3)
    get_or_compute(make_entry(source, "t"))
    db.session.execute(sa.text("SELECT 1"))
    invalidate("t")
    db.session.rollback()
    assert get_or_compute(make_entry(source, "t")) == 1
    db.session.execute(sa.text("SELECT 1"))
    invalidate("t")
    db.session.begin_nested().rollback()
    db.session.commit()
    assert get_or_compute(make_entry(source, "t")) == 2


def test_a_value_invalidated_while_it_was_computed_is_not_kept(app: Flask) -> None:
    for is_known in (False, True):  # with a new cache tag, and with one in use
        cache_tag = f"t{is_known}"
        if is_known:
            invalidate_now(cache_tag)

        def compute(cache_tag: str = cache_tag) -> str:
            invalidate_now(cache_tag)  # a concurrent write
            return "old"

        assert get_or_compute(make_entry(compute, cache_tag)) == "old"
        assert get_or_compute(make_entry(lambda: "new", cache_tag)) == "new"


def test_a_value_computed_in_an_open_transaction_is_not_stored(app: Flask) -> None:
    source = Source(1, 2)
    db.session.execute(sa.text("SELECT 1"))
    assert get_or_compute(make_entry(source)) == 1
    db.session.rollback()
    assert get_or_compute(make_entry(source)) == 2


def test_of_concurrent_readers_only_one_computes(app: Flask) -> None:
    source = Source("value")

    def compute() -> Any:
        time.sleep(0.1)
        return source()

    assert read_concurrently(app, make_entry(compute, "t")) == ["value"] * 12
    assert source.calls == 1


def test_while_one_reader_computes_anew_the_others_get_the_old_value(app: Flask) -> None:
    get_or_compute(make_entry(lambda: "old", spec=BRIEF_SPEC))
    time.sleep(1.1)
    release, computing = threading.Event(), threading.Event()

    def compute() -> str:
        computing.set()
        assert release.wait(30)
        return "new"

    slow = threading.Thread(
        target=lambda: append_cached(app, make_entry(compute, spec=BRIEF_SPEC), [])
    )
    slow.start()
    assert computing.wait(30)
    found = read_concurrently(
        app, make_entry(lambda: pytest.fail("computed twice"), spec=BRIEF_SPEC), 5
    )
    release.set()
    slow.join()
    assert found == ["old"] * 5
    assert get_or_compute(make_entry(lambda: "newer", spec=BRIEF_SPEC)) == "new"


def test_a_failed_computation_releases_the_lock(app: Flask) -> None:
    with pytest.raises(ZeroDivisionError):
        get_or_compute(make_entry(lambda: 1 / 0))
    began = time.monotonic()
    assert get_or_compute(make_entry(lambda: 2)) == 2
    assert time.monotonic() - began < 10, "waited for a lock that was not released"


def append_cached(app: Flask, wanted: CacheEntry[Any], envelope: list[Any]) -> None:
    with app.app_context():
        envelope.append(get_or_compute(wanted))


def read_concurrently(app: Flask, wanted: CacheEntry[Any], count: int = 12) -> list[Any]:
    found: list[Any] = []
    threads = [
        threading.Thread(target=append_cached, args=(app, wanted, found)) for _ in range(count)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_a_deploy_that_changes_the_shape_does_not_read_the_old_one(app: Flask) -> None:
    @dataclass
    class Old:
        name: str

    @dataclass
    class New:
        name: str
        age: int = 0

    get_or_compute(CacheEntry(CacheSpec("user", Old, fresh_s=60), 1, lambda: Old("Ana")))
    found: New = get_or_compute(
        CacheEntry(CacheSpec("user", New, fresh_s=60), 1, lambda: New("Bia", 3))
    )
    assert found == New("Bia", 3)


@pytest.mark.parametrize(
    "plant",
    [
        lambda admin, name: admin.set(name, b"\xc1\xff garbage", ex=60),
        lambda admin, name: admin.set(name, msgspec.msgpack.encode([b"x", [], 9e9, 1]), ex=60),
        lambda admin, name: admin.lpush(name, "another type"),
        lambda admin, name: admin.hset(name, "another", "type"),
    ],
)
def test_garbage_or_a_key_of_another_type_is_a_miss_and_overwritten(
    app: Flask, redis_server: RedisServer, plant: Any
) -> None:
    wanted = make_entry(lambda: "right", "t")
    for name in (wanted.cache_keys.value, key("cachetag", "t"), key("cacheepoch")):
        get_or_compute(wanted)
        redis_server.admin.delete(name)
        plant(redis_server.admin, name)
        assert get_or_compute(wanted) == "right"
        assert get_or_compute(make_entry(lambda: "not called", "t")) == "right"
        assert redis_server.admin.type(name) == b"string"


def test_every_key_has_a_ttl_with_jitter(app: Flask, redis_server: RedisServer) -> None:
    for number in range(20):
        get_or_compute(
            CacheEntry(CacheSpec("panel", Any, fresh_s=50, stale_s=10), number, lambda: 1, ("t",))
        )
    cache.set("flask", 1, timeout=0)
    cache.add("flask:2", 1)
    invalidate_now("u")
    stats.flush_counts(prosa_redis.client())
    ttls = {name: redis_server.admin.ttl(name) for name in redis_server.admin.scan_iter()}
    lives = [seconds for name, seconds in ttls.items() if b"cache:panel" in name]
    assert len(lives) == 20
    assert max(lives) <= 60
    assert len(set(lives)) > 1, "values stored together expire together"
    assert all(seconds > 0 for seconds in ttls.values()), ttls


def test_values_that_are_too_big_or_not_plain_data_are_not_stored(app: Flask) -> None:
    for value in (object(), "x" * (MAX_VALUE_BYTES + 1), 2**100):
        source = Source(value)
        assert [get_or_compute(make_entry(source)) for _ in range(2)] == [value] * 2
        assert source.calls == 2


def test_several_entries_are_read_together_and_only_missing_ones_computed(app: Flask) -> None:
    one, two = (CacheEntry(ANYTHING_SPEC, name, Source(name)) for name in "ab")
    get_or_compute(one)
    assert get_or_compute_all(one, two) == ["a", "b"]
    assert (one.compute.calls, two.compute.calls) == (1, 1)  # type: ignore[attr-defined]


def test_without_redis_everything_is_computed(app: Flask, redis_server: RedisServer) -> None:
    redis_server.kill()
    source = Source(1)
    assert [get_or_compute(make_entry(source)) for _ in range(2)] == [1, 1]
    assert source.calls == 2
    assert (cache.get("a"), cache.set("a", 1), cache.delete("a"), cache.clear()) == (
        None, False, False, False,
    )  # fmt: skip


def test_a_write_that_redis_missed_raises_the_cache_epoch(
    app: Flask, redis_server: RedisServer
) -> None:
    get_or_compute(make_entry(lambda: "before", "t"))
    redis_server.freeze()
    invalidate_now("t")  # is lost
    redis_server.thaw()
    wait_for(lambda: not prosa_redis.breaker().is_open)
    assert get_or_compute(make_entry(lambda: "after", "t")) == "after"


def test_values_restored_by_a_restart_are_not_trusted_by_any_process(
    app: Flask, redis_server: RedisServer
) -> None:
    """Redis comes back with its old data, unnoticed by this process, whose breaker stays closed."""
    client = prosa_redis.client()
    get_or_compute(make_entry(lambda: "before", "t"))
    saved = {name: redis_server.admin.dump(name) for name in redis_server.admin.scan_iter()}
    redis_server.kill()
    redis_server.start()
    redis_server.flush()
    for name, value in saved.items():
        redis_server.admin.restore(name, 60_000, value)
    assert not prosa_redis.breaker().is_open
    assert store.look_up(client, [make_entry(Source(1), "t").cache_keys])[0].envelope is None
    assert get_or_compute(make_entry(lambda: "after", "t")) == "after"


def test_a_changed_row_invalidates_its_cache_tags_and_an_unchanged_one_none(app: Flask) -> None:
    user = make_user("Ana")
    source = Source(1, 2, 3)
    get_or_compute(make_entry(source, "users"))
    user.name = user.name
    db.session.commit()
    db.session.rollback()
    assert get_or_compute(make_entry(source, "users")) == 1
    db.session.get_one(User, user.id).role = "admin"
    db.session.commit()
    assert get_or_compute(make_entry(source, "users")) == 2
