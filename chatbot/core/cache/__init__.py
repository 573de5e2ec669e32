"""What is read most is computed once, and kept until the write that makes it stale.

An `Entry` says what is cached, of which shape, for how long, and by which topics it goes stale; the
write that changes something names the topic: `forget("contact:12")`, or the model does so by itself
(`core.cache.invalidation`). How values lie in Redis, and why no old one is ever believed, is told in
`core.cache.store`. Every Redis error is a miss.
"""

from __future__ import annotations

import hashlib
import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

import msgspec
import redis
from redis.client import Pipeline
from redis.exceptions import RedisError

from chatbot.core import redis as prosa_redis
from chatbot.core.after_commit import run_redis_after_commit, run_redis_commands
from chatbot.core.cache import store
from chatbot.core.cache.stats import count_lookup
from chatbot.core.cache.store import CacheKeys, CacheLookup
from chatbot.core.db import db, read_only
from chatbot.core.redis import key, ttl

log = logging.getLogger(__name__)

T = TypeVar("T")

MAX_VALUE_BYTES = 1_000_000
JITTER = 0.1  # share of a TTL, so that what was filled together does not expire together
# Who waits for another's computing looks again so often, and in the end computes too.
LOCK_POLL_S, MAX_LOCK_POLLS = 0.02, 25

_encode = msgspec.msgpack.Encoder().encode


class CacheSpec(Generic[T]):
    """A kind of value: its namespace, its type, and its life.

    After `fresh_s` one process computes the value anew while the others still get the old one, for
    `stale_s` at most. The type is part of the key: a deploy that changes it starts with misses.
    """

    def __init__(self, namespace: str, shape: Any, *, fresh_s: int, stale_s: int = 0) -> None:
        self.namespace = namespace
        self.fresh_s = fresh_s
        self.stale_s = stale_s
        self.decode: Callable[[Any], T] = msgspec.msgpack.Decoder(shape).decode
        schema = msgspec.json.encode(msgspec.json.schema(shape), order="deterministic")
        self.version = hashlib.sha256(schema).hexdigest()[:8]


@dataclass(frozen=True, slots=True)
class CacheEntry(Generic[T]):
    """One value of a kind. `compute` makes it, of plain data as the kind's type says; None is a value
    like any other. `keep` may say of a value that it is not to be kept. `follow` brings a value up to
    date with what was added to the first topic since it was made (`add_news`); None: it can't.
    """

    spec: CacheSpec[T]
    id: object
    compute: Callable[[], T]
    cache_tags: tuple[str, ...] = ()
    should_store: Callable[[T], bool] = lambda _value: True
    apply_delta: Callable[[T, bytes], T | None] | None = None

    @property
    def cache_keys(self) -> CacheKeys:
        value = key("cache", self.spec.namespace, self.spec.version, self.id)
        tag_versions = tuple(tag_version_key(cache_tag) for cache_tag in self.cache_tags)
        return CacheKeys(value, tag_versions, accepts_delta=self.apply_delta is not None)


def tag_version_key(cache_tag: str) -> str:
    return key("cachetag", cache_tag)


def get_or_compute(entry: CacheEntry[T]) -> T:
    """The cached value, else what `compute` returns, which is then kept."""
    found: T = get_or_compute_all(entry)[0]
    return found


def get_or_compute_all(*entries: CacheEntry[Any]) -> list[Any]:
    """The same for several in one round trip, as far as they are cached."""
    all_keys = [entry.cache_keys for entry in entries]
    try:
        lookups = store.look_up(prosa_redis.client(), all_keys)
    except RedisError:
        lookups = [CacheLookup(cache_keys, b"") for cache_keys in all_keys]
    return [resolve(entry, lookup) for entry, lookup in zip(entries, lookups, strict=True)]


def resolve_prefetched(entry: CacheEntry[T], answers: Any) -> T:
    """The value of an entry whose `keys_of` were read in another's round trip; None: they were not."""
    if answers is None:
        return get_or_compute(entry)
    (lookup,) = store.validate_answers(prosa_redis.client(), [entry.cache_keys], answers)
    return resolve(entry, lookup)


def resolve(entry: CacheEntry[T], lookup: CacheLookup) -> T:
    """The value of an entry that was looked up already."""
    if not lookup.cache_epoch:
        count_lookup(entry.spec.namespace, "errors")
        return entry.compute()
    cached = _validate(entry, lookup)
    return _count_hit(entry, cached) if cached and cached.is_fresh else _refresh(entry, lookup)


@dataclass(frozen=True, slots=True)
class CachedValue(Generic[T]):
    """A value that may be believed; one that is not fresh is only old."""

    value: T
    is_fresh: bool
    size: int


def _validate(entry: CacheEntry[T], lookup: CacheLookup) -> CachedValue[T] | None:
    if lookup.envelope is None:
        return None
    try:
        value = entry.spec.decode(lookup.envelope.value)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    if lookup.delta and entry.apply_delta:
        updated = entry.apply_delta(value, lookup.delta)
        if updated is None:
            return None
        value = updated
    return CachedValue(value, time.time() < lookup.envelope.fresh_until, len(lookup.envelope.value))


def _count_hit(entry: CacheEntry[T], cached: CachedValue[T]) -> T:
    count_lookup(entry.spec.namespace, "hits", size=cached.size)
    return cached.value


def _refresh(entry: CacheEntry[T], lookup: CacheLookup) -> T:
    """One computes; who finds a value that is only old takes it, who finds none waits a little."""
    client = prosa_redis.client()
    for _ in range(MAX_LOCK_POLLS):
        try:
            has_lock, lookup = store.lock_and_look_up(client, entry.cache_keys)
        except RedisError:
            count_lookup(entry.spec.namespace, "errors")
            return entry.compute()
        cached = _validate(entry, lookup)
        if has_lock and not (cached and cached.is_fresh):
            break
        if has_lock:  # somebody was faster
            store.release_lock(client, entry.cache_keys)
        if cached:
            return _count_hit(entry, cached)
        time.sleep(LOCK_POLL_S)
    count_lookup(entry.spec.namespace, "misses")
    return _compute_and_store(client, entry, lookup)


def _compute_and_store(client: redis.Redis, entry: CacheEntry[T], lookup: CacheLookup) -> T:
    """A transaction that is open already may see less than the marks know, so its result is not kept;
    one that is opened to compute is closed again."""
    if db.session.in_transaction():
        store.release_lock(client, entry.cache_keys)
        return entry.compute()
    try:
        with read_only():
            value = entry.compute()
            db.session.rollback()
    except BaseException:
        store.release_lock(client, entry.cache_keys)
        raise
    raw = encode_value(entry.spec.namespace, value) if entry.should_store(value) else None
    if raw is None:
        store.release_lock(client, entry.cache_keys)
        return value
    fresh_s = entry.spec.fresh_s * (1 - random.uniform(0, JITTER))
    life_s = max(1, round(fresh_s + entry.spec.stale_s))
    store.store_value(client, lookup, raw, time.time() + fresh_s, min(life_s, ttl("cache")))
    count_lookup(entry.spec.namespace, size=len(raw))
    return value


def encode_value(namespace: str, value: Any) -> bytes | None:
    """None, and a word in the log, for what is not to be cached."""
    try:
        raw = _encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError):
        log.warning("not cached, no plain data: %s", namespace)
        return None
    if len(raw) > MAX_VALUE_BYTES:
        log.warning("not cached, %d bytes: %s", len(raw), namespace)
        return None
    return raw


def invalidate(*cache_tags: str) -> None:
    """What depends on one of the topics is stale once the session's transaction has committed; at
    once when none is open."""
    for cache_tag in cache_tags:
        run_redis_after_commit(
            partial(bump_tag_version, cache_tag=cache_tag), key=("forget", cache_tag)
        )


def invalidate_now(*cache_tags: str) -> None:
    """The same at once, for who has committed on a connection of his own."""
    run_redis_commands([partial(bump_tag_version, cache_tag=cache_tag) for cache_tag in cache_tags])


def bump_tag_version(pipe: Pipeline, cache_tag: str) -> None:
    """Queue the end of a topic's values on a pipeline."""
    pipe.set(tag_version_key(cache_tag), store.new_tag_version(), ex=ttl("cachetag"))


def append_delta(pipe: Pipeline, cache_tag: str, delta: bytes) -> None:
    """Queue what changes in a topic's values: who can't follow it finds them stale."""
    store.append_to_tag_version(pipe, tag_version_key(cache_tag), delta)
