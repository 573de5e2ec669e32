"""How well the cache works: counted in the process, added to Redis by a thread every few seconds."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import redis
from redis.exceptions import RedisError

from chatbot.core import clock
from chatbot.core import redis as prosa_redis
from chatbot.core.redis import key, ttl

FLUSH_EVERY_S = 5.0
HOURS = 24

_counts: Counter[tuple[str, str]] = Counter()
_counts_lock = threading.Lock()
_flusher: tuple[int, threading.Thread] | None = None


def count_lookup(namespace: str, outcome: str = "", *, size: int = 0) -> None:
    """Count one look-up, and the bytes that were moved; costs no round trip. `outcome` is hits, misses
    or errors."""
    with _counts_lock:
        if outcome:
            _counts[namespace, outcome] += 1
        if size:
            _counts[namespace, "bytes"] += size
    if _flusher is None or _flusher[0] != os.getpid():
        _start_flusher()


def _start_flusher() -> None:
    global _flusher
    try:
        client = prosa_redis.client()
    except RuntimeError:  # outside an application, as in a unit test
        return
    thread = threading.Thread(
        target=_flush_forever, args=(client,), name="cache-stats", daemon=True
    )
    _flusher = (os.getpid(), thread)
    thread.start()


def _flush_forever(client: redis.Redis) -> None:
    while True:
        time.sleep(FLUSH_EVERY_S)
        flush_counts(client)


def flush_counts(client: redis.Redis) -> None:
    """Add this process's counts to the sum of all; kept for the next time when Redis is away."""
    with _counts_lock:
        drained = Counter(_counts)
        _counts.clear()
    if not drained:
        return
    try:
        with client.pipeline(transaction=True) as pipe:
            for name in (key("cachestats", "total"), _hour_key(clock.now())):
                for (namespace, outcome), number in drained.items():
                    pipe.hincrby(name, f"{namespace}:{outcome}", number)
                pipe.expire(name, ttl("cachestats"))
            pipe.execute()
    except RedisError:
        with _counts_lock:
            _counts.update(drained)


def _reset_after_fork() -> None:
    """What the parent counted is the parent's to report; its lock may be held in a thread of it."""
    global _counts_lock
    _counts_lock = threading.Lock()
    _counts.clear()


os.register_at_fork(after_in_child=_reset_after_fork)


def _hour_key(moment: datetime) -> str:
    return key("cachestats", f"{moment:%Y%m%d%H}")


LookupCounts = dict[tuple[str, str], int]  # (namespace, outcome) → number


def read_counts(client: redis.Redis) -> tuple[LookupCounts, list[tuple[datetime, LookupCounts]]]:
    """The counts of all processes: the sum, and those of the last 24 hours, the present one last.

    Raises:
        RedisError: Redis is away.
    """
    now = clock.now().replace(minute=0, second=0, microsecond=0)
    hours = [now - timedelta(hours=ago) for ago in reversed(range(HOURS))]
    with client.pipeline(transaction=False) as pipe:
        pipe.hgetall(key("cachestats", "total"))
        for hour in hours:
            pipe.hgetall(_hour_key(hour))
        total, *each = pipe.execute(raise_on_error=False)
    return _parse(total), [(hour, _parse(found)) for hour, found in zip(hours, each, strict=True)]


def _parse(found: Any) -> LookupCounts:
    """What is no hash of numbers counts nothing."""
    counts: LookupCounts = {}
    for field, number in found.items() if isinstance(found, dict) else ():
        namespace, _, outcome = field.decode("utf-8", "replace").rpartition(":")
        counts[namespace, outcome] = int(number) if number.isdigit() else 0
    return counts
