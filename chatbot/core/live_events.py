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

from chatbot.core.after_commit import run_redis_after_commit, run_redis_commands
from chatbot.core.redis import RedisError, key, ttl


class LiveEventKind(StrEnum):
    """What a hint is about. Who may hear of it is decided in `realtime.clients`."""

    CONVERSATION = "conversation"
    CAMPAIGN = "campaign"
    IMPORT = "import"
    HEALTH = "health"


class LiveEvent(msgspec.Struct, frozen=True):
    """`id` is None where any thing of the kind may have changed."""

    epoch: str
    seq: int
    kind: LiveEventKind
    id: int | None = None


PUBSUB_CHANNEL = key("live", "events")
STATE_KEY = key("live", "state")
MAX_EVENTS_PER_BATCH = 20  # changes of one batch that are told one by one

# Numbers the hint and publishes it. What is no state of ours, or is to be forgotten, begins an epoch.
_PUBLISH_LUA = """
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

_decode = msgspec.json.Decoder(LiveEvent).decode


def publish(kind: LiveEventKind, object_id: int | None = None) -> None:
    """Tell it after the present transaction's commit, on the trip that rings the bells; once for each
    thing, however often it changed. Without Redis nobody is told, and pages ask by themselves."""
    run_redis_after_commit(
        partial(_queue_publish, kind=kind, object_id=object_id), key=("hint", kind, object_id)
    )


def publish_now(kind: LiveEventKind, object_ids: Iterable[int | None]) -> None:
    """The same for changes that are committed already, by a statement outside the session."""
    unique_ids = set(object_ids)
    published_ids = unique_ids if len(unique_ids) <= MAX_EVENTS_PER_BATCH else {None}
    run_redis_commands(
        [partial(_queue_publish, kind=kind, object_id=object_id) for object_id in published_ids]
    )


def start_live_epoch(client: redis.Redis) -> None:
    """After an outage: what this process had to say in it, nobody heard."""
    with client.pipeline(transaction=False) as pipe:
        _queue_publish(pipe, LiveEventKind.HEALTH, None, renew=True)
        pipe.execute()


def _queue_publish(
    pipe: Pipeline, kind: LiveEventKind, object_id: int | None, *, renew: bool = False
) -> None:
    number = "null" if object_id is None else str(int(object_id))
    mode = "renew" if renew else ""
    epoch = secrets.token_hex(6)
    pipe.eval(
        _PUBLISH_LUA,
        2,
        STATE_KEY,
        PUBSUB_CHANNEL,
        epoch,
        kind.value,
        number,
        mode,
        str(ttl("live")),
    )


def parse_live_event(raw: object) -> LiveEvent | None:
    """None for what is no hint of ours."""
    try:
        return _decode(raw) if isinstance(raw, bytes) else None
    except msgspec.MsgspecError:
        return None


def read_live_position(client: redis.Redis) -> tuple[str, int]:
    """The epoch and the number of the last hint, in one round trip; where there is no epoch yet, it
    begins. An empty one while Redis has no usable answer: the next hint mends what stands there."""
    try:
        with client.pipeline(transaction=False) as pipe:
            pipe.hsetnx(STATE_KEY, "epoch", secrets.token_hex(6))
            pipe.hsetnx(STATE_KEY, "seq", "0")
            pipe.expire(STATE_KEY, ttl("live"))
            pipe.hmget(STATE_KEY, ["epoch", "seq"])
            epoch, seq = pipe.execute()[-1]
        return epoch.decode(), int(seq)
    except (RedisError, ValueError):
        return "", 0
