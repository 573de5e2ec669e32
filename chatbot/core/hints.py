"""Hints: that something changed which a page may be showing; told to all web processes by Redis Pub/Sub.

A hint is advice to look again, never the news itself, so a lost one costs time and nothing else. It is
numbered, so that a listener knows when it has missed one. An *epoch* ends when somebody may have missed
one without a gap in the numbers: Redis lost its memory, or a process had no Redis to speak to. Whoever
sees another epoch, or a gap, looks at everything again.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from enum import StrEnum
from functools import partial

import msgspec
import redis
from redis.client import Pipeline

from chatbot.core.events import redis_after_commit, tell_redis
from chatbot.core.redis import RedisError, key, ttl


class Kind(StrEnum):
    """What a hint is about. Who may hear of it is decided in `realtime.visitors`."""

    CONVERSATION = "conversation"
    CAMPAIGN = "campaign"
    IMPORT = "import"
    HEALTH = "health"


class Hint(msgspec.Struct, frozen=True):
    """`id` is None where any thing of the kind may have changed."""

    epoch: str
    seq: int
    kind: Kind
    id: int | None = None


CHANNEL = key("live", "hints")
STATE = key("live", "state")
MOST = 20  # changes of one batch that are told one by one

# Numbers the hint and publishes it. What is no state of ours, or is to be forgotten, begins an epoch.
_PUBLISH = """
local state = redis.pcall('HMGET', KEYS[1], 'epoch', 'seq')
local epoch, seq = state[1], tonumber(state[2] or '')
if not epoch or not seq or ARGV[4] == 'renew' then
  redis.call('DEL', KEYS[1])
  epoch, seq = ARGV[1], 0
end
seq = string.format('%.0f', seq + 1)
redis.call('HSET', KEYS[1], 'epoch', epoch, 'seq', seq)
redis.call('EXPIRE', KEYS[1], ARGV[5])
redis.call('PUBLISH', KEYS[2],
  '{"epoch":"' .. epoch .. '","seq":' .. seq .. ',"kind":"' .. ARGV[2] .. '","id":' .. ARGV[3] .. '}')
"""

_decode = msgspec.json.Decoder(Hint).decode


def publish(kind: Kind, thing_id: int | None = None) -> None:
    """Tell it after the present transaction's commit, on the trip that rings the bells; once for each
    thing, however often it changed. Without Redis nobody is told, and pages ask by themselves."""
    redis_after_commit(partial(_queue, kind=kind, thing_id=thing_id), key=("hint", kind, thing_id))


def publish_committed(kind: Kind, thing_ids: Iterable[int | None]) -> None:
    """The same for changes that are committed already, by a statement outside the session."""
    wanted = set(thing_ids)
    told = wanted if len(wanted) <= MOST else {None}
    tell_redis([partial(_queue, kind=kind, thing_id=thing_id) for thing_id in told])


def renew_epoch(client: redis.Redis) -> None:
    """After an outage: what this process had to say in it, nobody heard."""
    with client.pipeline(transaction=False) as pipe:
        _queue(pipe, Kind.HEALTH, None, renew=True)
        pipe.execute()


def _queue(pipe: Pipeline, kind: Kind, thing_id: int | None, *, renew: bool = False) -> None:
    number = "null" if thing_id is None else str(int(thing_id))
    mode = "renew" if renew else ""
    epoch = secrets.token_hex(6)
    pipe.eval(_PUBLISH, 2, STATE, CHANNEL, epoch, kind.value, number, mode, str(ttl("live")))


def read_hint(raw: object) -> Hint | None:
    """None for what is no hint of ours."""
    try:
        return _decode(raw) if isinstance(raw, bytes) else None
    except msgspec.MsgspecError:
        return None


def read_position(client: redis.Redis) -> tuple[str, int]:
    """The epoch and the number of the last hint, in one round trip; where there is no epoch yet, it
    begins. An empty one while Redis has no usable answer: the next hint mends what stands there."""
    try:
        with client.pipeline(transaction=False) as pipe:
            pipe.hsetnx(STATE, "epoch", secrets.token_hex(6))
            pipe.hsetnx(STATE, "seq", "0")
            pipe.expire(STATE, ttl("live"))
            pipe.hmget(STATE, ["epoch", "seq"])
            epoch, seq = pipe.execute()[-1]
        return epoch.decode(), int(seq)
    except (RedisError, ValueError):
        return "", 0
