"""Description of cached values: their type, their lifetime and their tags. Touches no Redis."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec

from chatbot.core.cache.store import CacheKeys
from chatbot.core.cache.tags import tag_version_key
from chatbot.core.redis import key

log = logging.getLogger(__name__)

T = TypeVar("T")

MAX_VALUE_BYTES = 1_000_000

_encode = msgspec.msgpack.Encoder().encode


class CacheSpec(Generic[T]):
    """Namespace, type and lifetime of one sort of value.

    After `fresh_s` one process computes the value anew while the others still get the old one, for
    at most `stale_s`. The type is part of the key: a deploy that changes it starts with misses.
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
    """One cached value and how to compute it.

    `compute` returns plain data of the spec's type; None is a value like any other. `should_store`
    may refuse to store a value. `apply_delta` updates a value with what `append_delta` added to the
    first tag since it was computed; it returns None when it can't.
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
        tag_version_keys = tuple(tag_version_key(cache_tag) for cache_tag in self.cache_tags)
        return CacheKeys(value, tag_version_keys, accepts_delta=self.apply_delta is not None)


def encode_value(namespace: str, value: Any) -> bytes | None:
    """Return the value as MessagePack; log a warning and return None if it can't be cached."""
    try:
        raw = _encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError):
        log.warning("not cached, no plain data: %s", namespace)
        return None
    if len(raw) > MAX_VALUE_BYTES:
        log.warning("not cached, %d bytes: %s", len(raw), namespace)
        return None
    return raw
