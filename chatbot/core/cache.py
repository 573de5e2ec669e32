"""What is read most is computed once, and kept until the write that makes it stale.

An `Entry` says what is cached, of which shape, for how long, and by which topics it goes stale; the
write that changes something names the topic: `forget("contact:12")`, or the model does so by itself
(`core.staleness`). How values lie in Redis, and why no old one is ever believed, is told in
`core.cache_store`. Every Redis error is a miss.
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

from chatbot.core import cache_store as store
from chatbot.core import redis as prosa_redis
from chatbot.core.cache_counts import count
from chatbot.core.cache_store import Look, Slot
from chatbot.core.db import db, reading
from chatbot.core.events import redis_after_commit, tell_redis
from chatbot.core.redis import key, ttl

log = logging.getLogger(__name__)

T = TypeVar("T")

MAX_VALUE_BYTES = 1_000_000
JITTER = 0.1  # share of a TTL, so that what was filled together does not expire together
# Who waits for another's computing looks again so often, and in the end computes too.
WAIT_S, LOOKS = 0.02, 25

_encode = msgspec.msgpack.Encoder().encode


class Kind(Generic[T]):
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
class Entry(Generic[T]):
    """One value of a kind. `compute` makes it, of plain data as the kind's type says; None is a value
    like any other. `keep` may say of a value that it is not to be kept. `follow` brings a value up to
    date with what was added to the first topic since it was made (`add_news`); None: it can't.
    """

    kind: Kind[T]
    id: object
    compute: Callable[[], T]
    topics: tuple[str, ...] = ()
    keep: Callable[[T], bool] = lambda _value: True
    follow: Callable[[T, bytes], T | None] | None = None

    @property
    def slot(self) -> Slot:
        value = key("cache", self.kind.namespace, self.kind.version, self.id)
        marks = tuple(mark_of(topic) for topic in self.topics)
        return Slot(value, marks, follows=self.follow is not None)


def mark_of(topic: str) -> str:
    return key("mark", topic)


def get_or_compute(entry: Entry[T]) -> T:
    """The cached value, else what `compute` returns, which is then kept."""
    found: T = get_all(entry)[0]
    return found


def get_all(*entries: Entry[Any]) -> list[Any]:
    """The same for several in one round trip, as far as they are cached."""
    slots = [entry.slot for entry in entries]
    try:
        looks = store.look(prosa_redis.client(), slots)
    except RedisError:
        looks = [Look(slot, b"") for slot in slots]
    return [settle(entry, seen) for entry, seen in zip(entries, looks, strict=True)]


def settle_answers(entry: Entry[T], answers: Any) -> T:
    """The value of an entry whose `keys_of` were read in another's round trip; None: they were not."""
    if answers is None:
        return get_or_compute(entry)
    (seen,) = store.judge(prosa_redis.client(), [entry.slot], answers)
    return settle(entry, seen)


def settle(entry: Entry[T], seen: Look) -> T:
    """The value of an entry that was looked up already."""
    if not seen.generation:
        count(entry.kind.namespace, "errors")
        return entry.compute()
    present = _present(entry, seen)
    return _hit(entry, present) if present and present.is_fresh else _renew(entry, seen)


@dataclass(frozen=True, slots=True)
class Present(Generic[T]):
    """A value that may be believed; one that is not fresh is only old."""

    value: T
    is_fresh: bool
    size: int


def _present(entry: Entry[T], seen: Look) -> Present[T] | None:
    if seen.found is None:
        return None
    try:
        value = entry.kind.decode(seen.found.value)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    if seen.news and entry.follow:
        followed = entry.follow(value, seen.news)
        if followed is None:
            return None
        value = followed
    return Present(value, time.time() < seen.found.fresh_until, len(seen.found.value))


def _hit(entry: Entry[T], present: Present[T]) -> T:
    count(entry.kind.namespace, "hits", size=present.size)
    return present.value


def _renew(entry: Entry[T], seen: Look) -> T:
    """One computes; who finds a value that is only old takes it, who finds none waits a little."""
    client = prosa_redis.client()
    for _ in range(LOOKS):
        try:
            won, seen = store.lock_and_look(client, entry.slot)
        except RedisError:
            count(entry.kind.namespace, "errors")
            return entry.compute()
        present = _present(entry, seen)
        if won and not (present and present.is_fresh):
            break
        if won:  # somebody was faster
            store.release(client, entry.slot)
        if present:
            return _hit(entry, present)
        time.sleep(WAIT_S)
    count(entry.kind.namespace, "misses")
    return _compute_and_fill(client, entry, seen)


def _compute_and_fill(client: redis.Redis, entry: Entry[T], seen: Look) -> T:
    """A transaction that is open already may see less than the marks know, so its result is not kept;
    one that is opened to compute is closed again."""
    if db.session.in_transaction():
        store.release(client, entry.slot)
        return entry.compute()
    try:
        with reading():
            value = entry.compute()
            db.session.rollback()
    except BaseException:
        store.release(client, entry.slot)
        raise
    raw = encode(entry.kind.namespace, value) if entry.keep(value) else None
    if raw is None:
        store.release(client, entry.slot)
        return value
    fresh_s = entry.kind.fresh_s * (1 - random.uniform(0, JITTER))
    life_s = max(1, round(fresh_s + entry.kind.stale_s))
    store.fill(client, seen, raw, time.time() + fresh_s, min(life_s, ttl("cache")))
    count(entry.kind.namespace, size=len(raw))
    return value


def encode(namespace: str, value: Any) -> bytes | None:
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


def forget(*topics: str) -> None:
    """What depends on one of the topics is stale once the session's transaction has committed; at
    once when none is open."""
    for topic in topics:
        redis_after_commit(partial(set_mark, topic=topic), key=("forget", topic))


def forget_now(*topics: str) -> None:
    """The same at once, for who has committed on a connection of his own."""
    tell_redis([partial(set_mark, topic=topic) for topic in topics])


def set_mark(pipe: Pipeline, topic: str) -> None:
    """Queue the end of a topic's values on a pipeline."""
    pipe.set(mark_of(topic), store.new_mark(), ex=ttl("mark"))


def add_news(pipe: Pipeline, topic: str, news: bytes) -> None:
    """Queue what changes in a topic's values: who can't follow it finds them stale."""
    store.grow(pipe, mark_of(topic), news)
