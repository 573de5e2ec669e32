"""How cached values lie in Redis: each in an envelope that says on what it depended.

A value depends on the cache's generation and on the marks of its topics. Whoever changes something
sets the mark of its topic anew, and whatever was made before is no longer believed: by no process,
since generation and marks are read in the one round trip that reads the value. A mark that is missing
proves nothing, so eviction can only cause misses. The same makes fills safe: a value that was computed
while something changed is not stored.

A mark may also grow: what is added to it tells how the values that depend on it change, and who can
follow need not compute them anew. The mark that such a value was made at is the beginning of the one
that stands there now, so nothing between the two can be lost.

The generation carries the id of the Redis process that it was begun on. What an append-only file or a
replica brings back after a restart or a failover is of another process, and is not believed either:
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
LOCK_MS = 5_000  # longer than any value takes to compute; a worker that dies holds it no longer

# KEYS: the generation. ARGV: what was found there, what is to be there, its life.
_START_EPOCH_LUA = """
local present = redis.call('MGET', KEYS[1])[1] or ''
if present ~= ARGV[1] then return present end
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
return ARGV[2]
"""

# KEYS: a mark. ARGV: what is added to it, a new mark in the place of one that is missing or long, its
# life, the most that a mark may have.
_APPEND_DELTA_LUA = """
local size = redis.call('STRLEN', KEYS[1])
if size == 0 or size + #ARGV[1] > tonumber(ARGV[4]) then
  redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
else
  redis.call('APPEND', KEYS[1], ARGV[1])
  redis.call('EXPIRE', KEYS[1], ARGV[3])
end
"""
MAX_TAG_VERSION_BYTES = 8_000  # of a mark: some fifty additions, and then the values are made anew

# KEYS: the generation, the value, its lock, its marks. ARGV: the generation as looked up, the value,
# its life, a mark's life, and per mark what was looked up and what is to be there.
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
    """`fresh_until` is Unix time; after it the value is true still, but may be made anew."""

    cache_epoch: bytes
    tag_versions: tuple[bytes, ...]
    fresh_until: float
    value: msgspec.Raw


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Envelope).decode


@dataclass(frozen=True, slots=True)
class CacheKeys:
    """The keys of one value: itself, its lock, and the marks of its topics. `follows`: the first mark may
    have grown since."""

    value: str
    tag_versions: tuple[str, ...] = ()
    accepts_delta: bool = False

    @property
    def lock(self) -> str:
        return key("cachelock", self.value)


@dataclass(frozen=True, slots=True)
class CacheLookup:
    """What stood in a slot at one moment. Without a generation Redis did not answer, and nothing can
    be filled; `found` is None unless it may be believed, together with the `news` that came since."""

    cache_keys: CacheKeys
    cache_epoch: bytes
    tag_versions: tuple[bytes | None, ...] = ()
    envelope: Envelope | None = None
    delta: bytes = b""


def list_redis_keys(all_keys: Sequence[CacheKeys]) -> list[str]:
    """What is to be read to look into the slots, in one MGET."""
    return [
        CACHE_EPOCH_KEY,
        *(name for cache_keys in all_keys for name in (cache_keys.value, *cache_keys.tag_versions)),
    ]


def look_up(client: redis.Redis, all_keys: Sequence[CacheKeys]) -> list[CacheLookup]:
    """One round trip for all. Raises RedisError."""
    return validate_answers(client, all_keys, client.mget(list_redis_keys(all_keys)))


def lock_and_look_up(client: redis.Redis, cache_keys: CacheKeys) -> tuple[bool, CacheLookup]:
    """Whether the right to compute is ours, and what stands there now. Raises RedisError."""
    with client.pipeline(transaction=False) as pipe:
        pipe.set(cache_keys.lock, "1", nx=True, px=LOCK_MS)
        pipe.mget(list_redis_keys([cache_keys]))
        has_lock, answers = pipe.execute()
    (lookup,) = validate_answers(client, [cache_keys], answers)
    return bool(has_lock), lookup


def validate_answers(
    client: redis.Redis, all_keys: Sequence[CacheKeys], answers: Any
) -> list[CacheLookup]:
    """What the answers to `keys_of` are worth. What has the wrong type in Redis is answered as None."""
    cache_epoch, rest = _get_trusted_epoch(client, answers[0]), iter(answers[1:])
    lookups = []
    for cache_keys in all_keys:
        raw, tag_versions = next(rest), tuple(next(rest) for _ in cache_keys.tag_versions)
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
    """Whatever does not decode was not written by this version of us: a miss."""
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
    """What was added since to the mark that is followed; None when the value is stale."""
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
    """The generation, begun anew when it is of another Redis process; empty without Redis."""
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
    """The id of the process at the other end, as each new connection learns it."""
    pool: Any = client.connection_pool
    server: str = pool.breaker.server_id
    return server.encode()


def _new_epoch_name(server: bytes) -> bytes:
    return server + b"." + secrets.token_hex(8).encode()


def start_cache_epoch(client: redis.Redis) -> None:
    """Nothing that was cached before is found any more. Raises RedisError."""
    info: Any = client.info("server")
    cache_epoch = _new_epoch_name(str(info.get("run_id", "")).encode())
    client.set(CACHE_EPOCH_KEY, cache_epoch, ex=ttl("cacheepoch"))


def store_value(
    client: redis.Redis, lookup: CacheLookup, value: bytes, fresh_until: float, life_s: int
) -> None:
    """Store what was computed since `seen`, unless something changed meanwhile; frees the lock."""
    if not lookup.cache_epoch:
        return
    tag_versions = tuple(tag_version or new_tag_version() for tag_version in lookup.tag_versions)
    envelope = Envelope(lookup.cache_epoch, tag_versions, fresh_until, msgspec.Raw(value))
    pairs = [part for pair in zip(lookup.tag_versions, tag_versions, strict=True) for part in pair]
    cache_keys = lookup.cache_keys
    names = (CACHE_EPOCH_KEY, cache_keys.value, cache_keys.lock, *cache_keys.tag_versions)
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


def append_to_tag_version(client: redis.Redis, tag_version: str, delta: bytes) -> None:
    """Add to a mark. On a pipeline it is queued."""
    client.eval(
        _APPEND_DELTA_LUA,
        1,
        tag_version,
        delta,
        new_tag_version(),
        ttl("cachetag"),
        MAX_TAG_VERSION_BYTES,
    )


def release_lock(client: redis.Redis, cache_keys: CacheKeys) -> None:
    with suppress(RedisError):
        client.unlink(cache_keys.lock)
