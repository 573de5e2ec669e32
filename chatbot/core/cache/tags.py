"""Cache tags: a write that changes something bumps the version of its tag.

Every value that depends on the tag is stale from then on. Writes to Redis only; models do it by
themselves through `core.cache.invalidation`.
"""

from __future__ import annotations

from functools import partial

from redis.client import Pipeline

from chatbot.core.after_commit import run_redis_after_commit, run_redis_commands
from chatbot.core.cache import store
from chatbot.core.redis import key, ttl


def tag_version_key(cache_tag: str) -> str:
    return key("cachetag", cache_tag)


def invalidate(*cache_tags: str) -> None:
    """Invalidate the tags after the session's commit, or at once when no transaction is open."""
    for cache_tag in cache_tags:
        run_redis_after_commit(
            partial(bump_tag_version, cache_tag=cache_tag), key=("invalidate", cache_tag)
        )


def invalidate_now(*cache_tags: str) -> None:
    """Invalidate the tags at once, after a commit on a connection outside the session."""
    run_redis_commands([partial(bump_tag_version, cache_tag=cache_tag) for cache_tag in cache_tags])


def bump_tag_version(pipe: Pipeline, cache_tag: str) -> None:
    """Queue a new version of the tag on a pipeline."""
    pipe.set(tag_version_key(cache_tag), store.new_tag_version(), ex=ttl("cachetag"))


def append_delta(pipe: Pipeline, cache_tag: str, delta: bytes) -> None:
    """Queue a delta of the tag's values; entries without `apply_delta` find their value stale."""
    store.append_to_tag_version(pipe, tag_version_key(cache_tag), delta)
