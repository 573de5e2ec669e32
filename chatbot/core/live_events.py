"""Live events: notices that something changed which an open page may show, sent by Redis Pub/Sub.

A live event only says "reload this" and carries no data, so a lost one costs time and nothing else. Events
are numbered, so that a listener notices a missed one. A *live epoch* ends when an event may have been lost
without a gap in the numbers: Redis lost its memory, or a process had no Redis. After a gap or a new epoch
a listener reloads everything.
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
    """Subject of a live event. `realtime.clients` decides which users may receive it."""

    CONVERSATION = "conversation"
    CAMPAIGN = "campaign"
    IMPORT = "import"
    HEALTH = "health"


class LiveEvent(msgspec.Struct, frozen=True):
    """Numbered notice of a change. `id` is None if any object of the kind may have changed."""

    epoch: str
    seq: int
    kind: LiveEventKind
    id: int | None = None


PUBSUB_CHANNEL = key("live", "events")
STATE_KEY = key("live", "state")
MAX_EVENTS_PER_BATCH = 20  # with more, one event says that any object may have changed

# Numbers the event and publishes it. Without a valid state, or with 'renew', it starts a new epoch.
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
    """Publish after the commit, once per object, in the round trip that enqueues the tasks.

    Without Redis nothing is published, and pages poll.
    """
    run_redis_after_commit(
        partial(_queue_publish, kind=kind, object_id=object_id), key=("live_event", kind, object_id)
    )


def publish_now(kind: LiveEventKind, object_ids: Iterable[int | None]) -> None:
    """Publish at once, for changes that a statement outside the session has committed."""
    unique_ids = set(object_ids)
    published_ids = unique_ids if len(unique_ids) <= MAX_EVENTS_PER_BATCH else {None}
    run_redis_commands(
        [partial(_queue_publish, kind=kind, object_id=object_id) for object_id in published_ids]
    )


def start_live_epoch(client: redis.Redis) -> None:
    """Start a new epoch after an outage, in which this process could not publish."""
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
    """Decode a live event; return None if it is not one."""
    try:
        return _decode(raw) if isinstance(raw, bytes) else None
    except msgspec.MsgspecError:
        return None


def read_live_position(client: redis.Redis) -> tuple[str, int]:
    """Return epoch and number of the last event in one round trip; start an epoch if there is none.

    Return ("", 0) while Redis has no usable answer; the next event repairs an invalid state.
    """
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
