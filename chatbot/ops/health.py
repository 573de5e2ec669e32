"""Health of Prosa: database, Redis, workers, and the mode of each feature."""

from __future__ import annotations

import logging
import time
from typing import Any

import sqlalchemy as sa

from chatbot.core import redis as prosa_redis
from chatbot.core.db import db, read_only
from chatbot.core.heartbeats import count_workers_by_queue, query_heartbeats

log = logging.getLogger(__name__)


def check_health() -> dict[str, Any]:
    """Return `status` (healthy, degraded without Redis, unhealthy without a database) and the checks."""
    database, workers = _is_database_up(), find_workers()
    redis = workers is not None
    status = "healthy" if redis else "degraded"
    return {
        "status": status if database else "unhealthy",
        "checks": {
            "database": database,
            "redis": redis,
            "timestamp": int(time.time()),
            "workers": workers or {},
            "modes": get_feature_modes(redis),
        },
    }


def check_readiness() -> dict[str, Any]:
    database = _is_database_up()
    return {
        "status": "healthy" if database else "unhealthy",
        "checks": {"database": database, "timestamp": int(time.time())},
    }


# Backend of each feature, with Redis and without.
FEATURE_MODES = {
    "cache": ("redis", "database"),
    "rate_limits": ("redis", "memory"),
    "sessions": ("redis", "database"),
    "conversation_context": ("redis", "database"),
    "queue": ("redis", "polling"),
    "pacing": ("redis", "process"),
    "live_pages": ("redis", "polling"),
}


def get_feature_modes(redis: bool) -> dict[str, str]:
    """Return the backend that each feature uses now. All features work in either mode."""
    return {
        feature: with_it if redis else without
        for feature, (with_it, without) in FEATURE_MODES.items()
    }


def _is_database_up() -> bool:
    try:
        with read_only(), db.engine.connect() as connection:
            connection.execute(sa.text("SELECT 1"))
    except sa.exc.SQLAlchemyError:
        log.exception("the database does not answer")
        return False
    return True


def find_workers() -> dict[str, int] | None:
    """Count the workers by queue; None without Redis. One round trip, none while the breaker is open."""
    try:
        with prosa_redis.client().pipeline(transaction=False) as pipe:
            pipe.ping()
            query_heartbeats(pipe)
            _, members = pipe.execute()
    except prosa_redis.RedisError:
        return None
    return count_workers_by_queue(members)


def redis_answers() -> bool:
    return find_workers() is not None
