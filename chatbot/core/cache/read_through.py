"""Read-through cache: return the cached value, or compute and store it.

Every Redis error is a miss. Only one process computes a missing value; the others wait a little.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec
import redis
from redis.exceptions import RedisError

from chatbot.core import redis as prosa_redis
from chatbot.core.cache import store
from chatbot.core.cache.entries import CacheEntry, encode_value
from chatbot.core.cache.stats import count_lookup
from chatbot.core.cache.store import CacheLookup
from chatbot.core.db import db, read_only
from chatbot.core.redis import ttl

T = TypeVar("T")

JITTER = 0.1  # share of the TTL, so that values stored together do not expire together
# A process that waits for another's value polls at this interval, and at last computes it itself.
LOCK_POLL_S, MAX_LOCK_POLLS = 0.02, 25


def get_or_compute(entry: CacheEntry[T]) -> T:
    """Return the cached value, or compute and store it."""
    found: T = get_or_compute_all(entry)[0]
    return found


def get_or_compute_all(*entries: CacheEntry[Any]) -> list[Any]:
    """Return the values of several entries; those that are cached cost one round trip together."""
    all_keys = [entry.cache_keys for entry in entries]
    try:
        lookups = store.look_up(prosa_redis.client(), all_keys)
    except RedisError:
        lookups = [CacheLookup(cache_keys, b"") for cache_keys in all_keys]
    return [resolve(entry, lookup) for entry, lookup in zip(entries, lookups, strict=True)]


def resolve_prefetched(entry: CacheEntry[T], answers: Any) -> T:
    """Return the value of an entry whose keys were read in another round trip.

    `answers` are the values of `store.list_redis_keys`; None: they were not read.
    """
    if answers is None:
        return get_or_compute(entry)
    (lookup,) = store.validate_answers(prosa_redis.client(), [entry.cache_keys], answers)
    return resolve(entry, lookup)


def resolve(entry: CacheEntry[T], lookup: CacheLookup) -> T:
    """Return the value of an entry after its lookup, computed where that found none."""
    if not lookup.cache_epoch:
        count_lookup(entry.spec.namespace, "errors")
        return entry.compute()
    cached = _validate(entry, lookup)
    return _count_hit(entry, cached) if cached and cached.is_fresh else _refresh(entry, lookup)


@dataclass(frozen=True, slots=True)
class CachedValue(Generic[T]):
    """A valid value. One that is not fresh may be returned while another process computes it anew."""

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
    """Compute under the lock. Without the lock return an old value, or wait a little for a new one."""
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
        if has_lock:  # another process has just stored it
            store.release_lock(client, entry.cache_keys)
        if cached:
            return _count_hit(entry, cached)
        time.sleep(LOCK_POLL_S)
    count_lookup(entry.spec.namespace, "misses")
    return _compute_and_store(client, entry, lookup)


def _compute_and_store(client: redis.Redis, entry: CacheEntry[T], lookup: CacheLookup) -> T:
    """Compute in a transaction of its own, and store unless a tag was bumped meanwhile.

    A value computed inside an open transaction is not stored: its snapshot may be older than the tag
    versions.
    """
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
