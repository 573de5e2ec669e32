"""Cache with tag-based invalidation: a value is kept until a write bumps the version of one of its tags.

A feature declares a `CacheSpec` and reads a `CacheEntry` with `get_or_compute` (`read_through`); a write
calls `invalidate` (`tags`), or its model does so by itself (`invalidation`). `store` explains how values
lie in Redis and why an old one is never returned.
"""

from __future__ import annotations

from chatbot.core.cache.entries import MAX_VALUE_BYTES, CacheEntry, CacheSpec, encode_value
from chatbot.core.cache.read_through import (
    get_or_compute,
    get_or_compute_all,
    resolve,
    resolve_prefetched,
)
from chatbot.core.cache.tags import (
    append_delta,
    bump_tag_version,
    invalidate,
    invalidate_now,
    tag_version_key,
)

__all__ = [
    "MAX_VALUE_BYTES",
    "CacheEntry",
    "CacheSpec",
    "append_delta",
    "bump_tag_version",
    "encode_value",
    "get_or_compute",
    "get_or_compute_all",
    "invalidate",
    "invalidate_now",
    "resolve",
    "resolve_prefetched",
    "tag_version_key",
]
