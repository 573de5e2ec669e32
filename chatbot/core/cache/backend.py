"""Backend of Flask-Caching on the same store: no pickle, no KEYS command, no exceptions."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import msgspec
from flask import Flask
from flask_caching.backends.rediscache import RedisCache
from redis.exceptions import RedisError

from chatbot.core.cache import store
from chatbot.core.cache.entries import encode_value
from chatbot.core.cache.stats import count_lookup
from chatbot.core.cache.store import CacheKeys
from chatbot.core.redis import key, ttl

Timeout = int | timedelta | None


class SafeRedisCache(RedisCache):
    """Values are MessagePack; every Redis error is a miss."""

    @classmethod
    def factory(
        cls, app: Flask, config: Any, args: list[Any], kwargs: dict[str, Any]
    ) -> SafeRedisCache:
        client = app.extensions["prosa_redis"].client
        return cls(client, key_prefix=_key(""), default_timeout=config["CACHE_DEFAULT_TIMEOUT"])

    def get(self, name: str) -> Any:
        return self.get_many(name)[0]

    def set(self, name: str, value: Any, timeout: Timeout = None) -> bool:
        return self._store(name, value, timeout, only_if_absent=False)

    def add(self, name: str, value: Any, timeout: Timeout = None) -> bool:
        return self._store(name, value, timeout, only_if_absent=True)

    def _store(self, name: str, value: Any, timeout: Timeout, only_if_absent: bool) -> bool:
        raw = encode_value(name, value)
        if raw is None:
            return False
        seconds = round(_seconds(timeout) or self.default_timeout)
        life_s = max(1, min(seconds, ttl("cache")))
        try:
            (lookup,) = store.look_up(self._write_client, [CacheKeys(_key(name))])
        except RedisError:
            return False
        if only_if_absent and lookup.envelope:
            return False
        store.store_value(self._write_client, lookup, raw, time.time() + life_s, life_s)
        return bool(lookup.cache_epoch)

    def delete(self, name: str) -> bool:
        return self.delete_many(name) != []

    def delete_many(self, *names: str) -> list[str]:
        try:
            self._write_client.unlink(*(_key(name) for name in names))
        except RedisError:
            return []
        return list(names)

    def get_many(self, *names: str) -> list[Any]:
        """Return the values in the order of the names, None for a miss, in one round trip."""
        try:
            lookups = store.look_up(self._read_client, [CacheKeys(_key(name)) for name in names])
        except RedisError:
            return [_count(name, None, "errors") for name in names]
        return [
            _count(name, _value_of(lookup)) for name, lookup in zip(names, lookups, strict=True)
        ]

    def set_many(self, mapping: dict[str, Any], timeout: Timeout = None) -> list[str]:
        return [name for name, value in mapping.items() if self.set(name, value, timeout)]

    def inc(self, name: str, delta: int = 1) -> Any:
        """Raise NotImplementedError: a counter would be no MessagePack and have no TTL."""
        raise NotImplementedError

    def dec(self, name: str, delta: int = 1) -> Any:
        raise NotImplementedError

    def has(self, name: str) -> bool:
        return self.get(name) is not None

    def clear(self) -> bool:
        """Start a new cache epoch: old keys are no longer read, and expire by themselves."""
        try:
            store.start_cache_epoch(self._write_client)
        except RedisError:
            return False
        return True


def _key(name: str) -> str:
    return key("cache", "flask", name)


def _value_of(lookup: store.CacheLookup) -> Any:
    return _decode(lookup.envelope.value) if lookup.envelope else None


def _count(name: str, value: Any, outcome: str | None = None) -> Any:
    found = "misses" if value is None else "hits"
    count_lookup(name.partition(":")[0], outcome or found)
    return value


def _decode(raw: Any) -> Any:
    try:
        return msgspec.msgpack.decode(raw)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def _seconds(timeout: Timeout) -> float | None:
    return timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
