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

GENERATION = key("cachegen")
LOCK_MS = 5_000  # longer than any value takes to compute; a worker that dies holds it no longer

# KEYS: the generation. ARGV: what was found there, what is to be there, its life.
_BEGIN = """
local present = redis.call('MGET', KEYS[1])[1] or ''
if present ~= ARGV[1] then return present end
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
return ARGV[2]
"""

# KEYS: a mark. ARGV: what is added to it, a new mark in the place of one that is missing or long, its
# life, the most that a mark may have.
_GROW = """
local size = redis.call('STRLEN', KEYS[1])
if size == 0 or size + #ARGV[1] > tonumber(ARGV[4]) then
  redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
else
  redis.call('APPEND', KEYS[1], ARGV[1])
  redis.call('EXPIRE', KEYS[1], ARGV[3])
end
"""
MOST_BYTES = 8_000  # of a mark: some fifty additions, and then the values are made anew

# KEYS: the generation, the value, its lock, its marks. ARGV: the generation as looked up, the value,
# its life, a mark's life, and per mark what was looked up and what is to be there.
_FILL = """
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

    generation: bytes
    marks: tuple[bytes, ...]
    fresh_until: float
    value: msgspec.Raw


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Envelope).decode


@dataclass(frozen=True, slots=True)
class Slot:
    """The keys of one value: itself, its lock, and the marks of its topics. `follows`: the first mark may
    have grown since."""

    value: str
    marks: tuple[str, ...] = ()
    follows: bool = False

    @property
    def lock(self) -> str:
        return key("lock", self.value)


@dataclass(frozen=True, slots=True)
class Look:
    """What stood in a slot at one moment. Without a generation Redis did not answer, and nothing can
    be filled; `found` is None unless it may be believed, together with the `news` that came since."""

    slot: Slot
    generation: bytes
    marks: tuple[bytes | None, ...] = ()
    found: Envelope | None = None
    news: bytes = b""


def keys_of(slots: Sequence[Slot]) -> list[str]:
    """What is to be read to look into the slots, in one MGET."""
    return [GENERATION, *(name for slot in slots for name in (slot.value, *slot.marks))]


def look(client: redis.Redis, slots: Sequence[Slot]) -> list[Look]:
    """One round trip for all. Raises RedisError."""
    return judge(client, slots, client.mget(keys_of(slots)))


def lock_and_look(client: redis.Redis, slot: Slot) -> tuple[bool, Look]:
    """Whether the right to compute is ours, and what stands there now. Raises RedisError."""
    with client.pipeline(transaction=False) as pipe:
        pipe.set(slot.lock, "1", nx=True, px=LOCK_MS)
        pipe.mget(keys_of([slot]))
        won, answers = pipe.execute()
    (seen,) = judge(client, [slot], answers)
    return bool(won), seen


def judge(client: redis.Redis, slots: Sequence[Slot], answers: Any) -> list[Look]:
    """What the answers to `keys_of` are worth. What has the wrong type in Redis is answered as None."""
    generation, rest = _trusted_generation(client, answers[0]), iter(answers[1:])
    looks = []
    for slot in slots:
        raw, marks = next(rest), tuple(next(rest) for _ in slot.marks)
        found = _open(raw, generation)
        news = None if found is None else _news(found.marks, marks, slot.follows)
        looks.append(
            Look(slot, generation, marks)
            if news is None
            else Look(slot, generation, marks, found, news)
        )
    return looks


def _open(raw: Any, generation: bytes) -> Envelope | None:
    """Whatever does not decode was not written by this version of us: a miss."""
    if not isinstance(raw, bytes) or not generation:
        return None
    try:
        found = _decode(raw)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return found if found.generation == generation else None


def _news(then: tuple[bytes, ...], now: tuple[bytes | None, ...], follows: bool) -> bytes | None:
    """What was added since to the mark that is followed; None when the value is stale."""
    if then == now:
        return b""
    if not follows or not now or now[0] is None or then[1:] != now[1:]:
        return None
    return now[0][len(then[0]) :] if now[0].startswith(then[0]) else None


def _trusted_generation(client: redis.Redis, raw: Any) -> bytes:
    """The generation, begun anew when it is of another Redis process; empty without Redis."""
    server = _server_of(client)
    if isinstance(raw, bytes) and raw.startswith(server + b"."):
        return raw
    try:
        begun: Any = client.eval(
            _BEGIN, 1, GENERATION, raw or b"", _name_generation(server), ttl("cachegen")
        )
    except RedisError:
        return b""
    return begun if isinstance(begun, bytes) and begun.startswith(server + b".") else b""


def _server_of(client: redis.Redis) -> bytes:
    """The id of the process at the other end, as each new connection learns it."""
    pool: Any = client.connection_pool
    server: str = pool.breaker.server_id
    return server.encode()


def _name_generation(server: bytes) -> bytes:
    return server + b"." + secrets.token_hex(8).encode()


def new_generation(client: redis.Redis) -> None:
    """Nothing that was cached before is found any more. Raises RedisError."""
    info: Any = client.info("server")
    generation = _name_generation(str(info.get("run_id", "")).encode())
    client.set(GENERATION, generation, ex=ttl("cachegen"))


def fill(client: redis.Redis, seen: Look, value: bytes, fresh_until: float, life_s: int) -> None:
    """Store what was computed since `seen`, unless something changed meanwhile; frees the lock."""
    if not seen.generation:
        return
    marks = tuple(mark or new_mark() for mark in seen.marks)
    envelope = Envelope(seen.generation, marks, fresh_until, msgspec.Raw(value))
    pairs = [part for pair in zip(seen.marks, marks, strict=True) for part in pair]
    slot = seen.slot
    names = (GENERATION, slot.value, slot.lock, *slot.marks)
    with suppress(RedisError):
        client.eval(
            _FILL,
            len(names),
            *names,
            seen.generation,
            _encode(envelope),
            life_s,
            ttl("mark"),
            *(part or b"" for part in pairs),
        )


def new_mark() -> bytes:
    return secrets.token_bytes(8)


def grow(client: redis.Redis, mark: str, news: bytes) -> None:
    """Add to a mark. On a pipeline it is queued."""
    client.eval(_GROW, 1, mark, news, new_mark(), ttl("mark"), MOST_BYTES)


def release(client: redis.Redis, slot: Slot) -> None:
    with suppress(RedisError):
        client.unlink(slot.lock)
