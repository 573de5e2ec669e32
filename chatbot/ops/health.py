"""Health of Prosa: database, Redis, workers, and the mode of each feature."""

from __future__ import annotations

import logging
import time
from typing import Any

import sqlalchemy as sa

from chatbot.core import redis as prosa_redis
from chatbot.core.db import db, read_only
from chatbot.core.metrics import count_live_processes
from chatbot.core.tasks import QUEUES

log = logging.getLogger(__name__)

WORKER_ROLES = {*QUEUES, "scheduler"}


def check_health() -> dict[str, Any]:
    """Return `status` (healthy, degraded without Redis, unhealthy without a database) and the checks."""
    workers, redis = find_workers(), redis_answers()
    database = workers is not None
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
    """Count the live workers by queue, and schedulers; None without a database.

    They report in SQL from a thread of their own, so that neither a long batch nor an outage of Redis
    makes a live worker look dead.
    """
    try:
        found = count_live_processes(db.engine)
    except sa.exc.SQLAlchemyError:
        log.exception("the database does not answer")
        return None
    return {role: number for role, number in found.items() if role in WORKER_ROLES}


def redis_answers() -> bool:
    try:
        return bool(prosa_redis.client().ping())
    except prosa_redis.RedisError:
        return False
