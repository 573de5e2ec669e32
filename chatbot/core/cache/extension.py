"""Flask-Caching with cache tags: the `cache` of `chatbot/extensions.py`, which all features call."""

from __future__ import annotations

from typing import Any, TypeVar

import flask_caching

from chatbot.core.cache import read_through, tags
from chatbot.core.cache.entries import CacheEntry

T = TypeVar("T")


class TaggedCache(flask_caching.Cache):
    """A `flask_caching.Cache` that also keeps typed values until a write invalidates one of their tags.

    Flask-Caching's own methods (`get`, `set`, `cached`, `memoize`, ...) work as documented, on the same
    store: MessagePack instead of pickle, a TTL on every key, and no KEYS command. `memoize` costs two round
    trips, so pages whose trips are counted use `get_or_compute`.
    """

    def get_or_compute(self, entry: CacheEntry[T]) -> T:
        """Return the cached value, or compute and store it; one process computes while others wait."""
        return read_through.get_or_compute(entry)

    def get_or_compute_all(self, *entries: CacheEntry[Any]) -> list[Any]:
        """Return the values of several entries; those that are cached cost one round trip together."""
        return read_through.get_or_compute_all(*entries)

    def resolve_prefetched(self, entry: CacheEntry[T], answers: Any) -> T:
        """Return the value of an entry whose Redis keys were read together with something else."""
        return read_through.resolve_prefetched(entry, answers)

    def invalidate(self, *cache_tags: str) -> None:
        """Make what has one of these tags stale once the session commits; at once outside of one."""
        tags.invalidate(*cache_tags)
