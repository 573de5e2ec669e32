"""Storage of cached values in Redis: each in an envelope with the versions it depends on.

A value depends on the cache epoch and on the versions of its tags. A write gives its tag a new version,
and no process returns a value of an older one, since epoch and versions are read in the same round trip
as the value. A missing version proves nothing, so eviction can only cause misses. Fills are safe for the
same reason: a value is not stored if one of its tags changed while it was computed.

A tag version may also grow by deltas, which say how the values of the tag change; a reader that can
apply them need not compute the value anew. The version that the value was stored with is a prefix of the
current one, so no delta in between can be lost.

The epoch contains the id of the Redis process on which it was started. Values that an append-only file
or a replica brings back after a restart or failover belong to another process and are not returned:
invalidations may have been lost while Redis was away.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import msgspec
import redis
from redis.exceptions import RedisError

from chatbot.core.redis import key, ttl

CACHE_EPOCH_KEY = key("cacheepoch")
LOCK_MS = 5_000  # longer than any value takes to compute; the lock of a dead worker expires

# KEYS: the epoch. ARGV: the epoch that was read, the new one, its TTL in seconds.
_START_EPOCH_LUA = """
local present = redis.call('MGET', KEYS[1])[1] or ''
if present ~= ARGV[1] then return present end
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
return ARGV[2]
"""

# KEYS: a tag version. ARGV: the delta, a new version to replace one that is missing or too long, the TTL
# in seconds, the maximum length.
_APPEND_DELTA_LUA = """
local size = redis.call('STRLEN', KEYS[1])
if size == 0 or size + #ARGV[1] > tonumber(ARGV[4]) then
  redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
else
  redis.call('APPEND', KEYS[1], ARGV[1])
  redis.call('EXPIRE', KEYS[1], ARGV[3])
end
"""
MAX_TAG_VERSION_BYTES = 8_000  # some fifty deltas; after that the values are computed anew

# KEYS: the epoch, the value, its lock, its tag versions. ARGV: the epoch that was read, the value, its TTL,
# the TTL of a tag version, and per tag the version that was read and the one to set.
_STORE_VALUE_LUA = """
redis.call('UNLINK', KEYS[3])
local function is(name, value) return (redis.call('MGET', name)[1] or '') == value end
if not is(KEYS[1], ARGV[1]) then return 0 end
for i = 4, #KEYS do
  if not is(KEYS[i], ARGV[2 * i - 3]) then return 0 end
end
for i = 4, #KEYS do redis.call('SET', KEYS[i], ARGV[2 * i - 2], 'EX', ARGV[4]) end
redis.call('SET', KEYS[2], ARGV[2], 'EX', ARGV[3])
return 1
"""


class Envelope(msgspec.Struct, array_like=True, frozen=True):
    """A value and its versions. After `fresh_until` (Unix time) it is still valid, but to be refreshed."""

    cache_epoch: bytes
    tag_versions: tuple[bytes, ...]
    fresh_until: float
    value: msgspec.Raw


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Envelope).decode


@dataclass(frozen=True, slots=True)
class CacheKeys:
    """Redis keys of one value, of its lock and of its tag versions.

    With `accepts_delta` the first tag version may have grown since the value was stored.
    """

    value: str
    tag_version_keys: tuple[str, ...] = ()
    accepts_delta: bool = False

    @property
    def lock(self) -> str:
        return key("cachelock", self.value)


@dataclass(frozen=True, slots=True)
class CacheLookup:
    """Answer of Redis for one value.

    An empty `cache_epoch` means that Redis did not answer and nothing can be stored. `envelope` is None
    unless it is valid; `delta` is what was appended to the first tag since it was stored.
    """

    cache_keys: CacheKeys
    cache_epoch: bytes
    tag_versions: tuple[bytes | None, ...] = ()
    envelope: Envelope | None = None
    delta: bytes = b""


def list_redis_keys(all_keys: Sequence[CacheKeys]) -> list[str]:
    """Return the keys that one MGET reads to look up all values."""
    return [
        CACHE_EPOCH_KEY,
        *(
            name
            for cache_keys in all_keys
            for name in (cache_keys.value, *cache_keys.tag_version_keys)
        ),
    ]


def look_up(client: redis.Redis, all_keys: Sequence[CacheKeys]) -> list[CacheLookup]:
    """Look up all values in one round trip.

    Raises:
        RedisError: Redis does not answer.
    """
    return validate_answers(client, all_keys, client.mget(list_redis_keys(all_keys)))


def lock_and_look_up(client: redis.Redis, cache_keys: CacheKeys) -> tuple[bool, CacheLookup]:
    """Try to take the lock, and look the value up. Return whether the lock was taken, and the lookup.

    Raises:
        RedisError: Redis does not answer.
    """
    with client.pipeline(transaction=False) as pipe:
        pipe.set(cache_keys.lock, "1", nx=True, px=LOCK_MS)
        pipe.mget(list_redis_keys([cache_keys]))
        has_lock, answers = pipe.execute()
    (lookup,) = validate_answers(client, [cache_keys], answers)
    return bool(has_lock), lookup


def validate_answers(
    client: redis.Redis, all_keys: Sequence[CacheKeys], answers: Any
) -> list[CacheLookup]:
    """Return the lookups for the answers to `list_redis_keys`. A key of another type is a miss."""
    cache_epoch, rest = _get_trusted_epoch(client, answers[0]), iter(answers[1:])
    lookups = []
    for cache_keys in all_keys:
        raw, tag_versions = next(rest), tuple(next(rest) for _ in cache_keys.tag_version_keys)
        envelope = _decode_envelope(raw, cache_epoch)
        delta = (
            None
            if envelope is None
            else _find_delta(envelope.tag_versions, tag_versions, cache_keys.accepts_delta)
        )
        lookups.append(
            CacheLookup(cache_keys, cache_epoch, tag_versions)
            if delta is None
            else CacheLookup(cache_keys, cache_epoch, tag_versions, envelope, delta)
        )
    return lookups


def _decode_envelope(raw: Any, cache_epoch: bytes) -> Envelope | None:
    """Return the envelope, or None if it does not decode or belongs to another epoch."""
    if not isinstance(raw, bytes) or not cache_epoch:
        return None
    try:
        envelope = _decode(raw)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return envelope if envelope.cache_epoch == cache_epoch else None


def _find_delta(
    old_versions: tuple[bytes, ...], current_versions: tuple[bytes | None, ...], accepts_delta: bool
) -> bytes | None:
    """Return what was appended to the first tag version since; None if the value is stale."""
    if old_versions == current_versions:
        return b""
    if (
        not accepts_delta
        or not current_versions
        or current_versions[0] is None
        or old_versions[1:] != current_versions[1:]
    ):
        return None
    return (
        current_versions[0][len(old_versions[0]) :]
        if current_versions[0].startswith(old_versions[0])
        else None
    )


def _get_trusted_epoch(client: redis.Redis, raw: Any) -> bytes:
    """Return the epoch, started anew if it is of another Redis process; empty without Redis."""
    server = _get_server_id(client)
    if isinstance(raw, bytes) and raw.startswith(server + b"."):
        return raw
    try:
        started: Any = client.eval(
            _START_EPOCH_LUA,
            1,
            CACHE_EPOCH_KEY,
            raw or b"",
            _new_epoch_name(server),
            ttl("cacheepoch"),
        )
    except RedisError:
        return b""
    return started if isinstance(started, bytes) and started.startswith(server + b".") else b""


def _get_server_id(client: redis.Redis) -> bytes:
    """Return the id of the Redis process, which each new connection asks for."""
    pool: Any = client.connection_pool
    server: str = pool.breaker.server_id
    return server.encode()


def _new_epoch_name(server: bytes) -> bytes:
    return server + b"." + secrets.token_hex(8).encode()


def start_cache_epoch(client: redis.Redis) -> None:
    """Invalidate the whole cache.

    Raises:
        RedisError: Redis does not answer.
    """
    info: Any = client.info("server")
    cache_epoch = _new_epoch_name(str(info.get("run_id", "")).encode())
    client.set(CACHE_EPOCH_KEY, cache_epoch, ex=ttl("cacheepoch"))


def store_value(
    client: redis.Redis, lookup: CacheLookup, value: bytes, fresh_until: float, life_s: int
) -> None:
    """Store a value computed after `lookup`, unless a version has changed since; release the lock."""
    if not lookup.cache_epoch:
        return
    tag_versions = tuple(tag_version or new_tag_version() for tag_version in lookup.tag_versions)
    envelope = Envelope(lookup.cache_epoch, tag_versions, fresh_until, msgspec.Raw(value))
    pairs = [part for pair in zip(lookup.tag_versions, tag_versions, strict=True) for part in pair]
    cache_keys = lookup.cache_keys
    names = (CACHE_EPOCH_KEY, cache_keys.value, cache_keys.lock, *cache_keys.tag_version_keys)
    with suppress(RedisError):
        client.eval(
            _STORE_VALUE_LUA,
            len(names),
            *names,
            lookup.cache_epoch,
            _encode(envelope),
            life_s,
            ttl("cachetag"),
            *(part or b"" for part in pairs),
        )


def new_tag_version() -> bytes:
    return secrets.token_bytes(8)


def append_to_tag_version(client: redis.Redis, tag_version_key: str, delta: bytes) -> None:
    """Append a delta to a tag version; `client` may be a pipeline."""
    client.eval(
        _APPEND_DELTA_LUA,
        1,
        tag_version_key,
        delta,
        new_tag_version(),
        ttl("cachetag"),
        MAX_TAG_VERSION_BYTES,
    )


def release_lock(client: redis.Redis, cache_keys: CacheKeys) -> None:
    with suppress(RedisError):
        client.unlink(cache_keys.lock)
