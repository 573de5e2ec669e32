"""Redis, an accelerator that may be away: one pool behind one circuit breaker, and the names of its keys.

Features use `client()`. Every use catches `RedisError` and works without Redis too.
"""

from __future__ import annotations

from dataclasses import dataclass

import redis
from flask import current_app
from redis.exceptions import RedisError

from chatbot.core.redis.breaker import Breaker, RedisUnavailable
from chatbot.core.redis.keys import key, ttl
from chatbot.core.redis.pool import TIMEOUT_S, BreakerPool, create_blocking_client, create_pool

__all__ = [
    "TIMEOUT_S",
    "Breaker",
    "BreakerPool",
    "RedisError",
    "RedisState",
    "RedisUnavailable",
    "breaker",
    "client",
    "create_blocking_client",
    "create_pool",
    "key",
    "state",
    "ttl",
]


@dataclass(frozen=True, slots=True)
class RedisState:
    """Pool and client of one application; `url` is None when Redis is switched off."""

    url: str | None
    pool: BreakerPool
    client: redis.Redis


def state() -> RedisState:
    found: RedisState = current_app.extensions["prosa_redis"]
    return found


def client() -> redis.Redis:
    return state().client


def breaker() -> Breaker:
    return state().pool.breaker
