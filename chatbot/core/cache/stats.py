"""Statistics of cache lookups: counted in the process, added to Redis by a thread every few seconds."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import redis
from redis.exceptions import RedisError

from chatbot.core import clock
from chatbot.core import redis as prosa_redis
from chatbot.core.counters import BufferedCounts
from chatbot.core.redis import key, ttl

FLUSH_EVERY_S = 5.0
HOURS = 24

LookupCounts = dict[tuple[str, str], int]  # (namespace, outcome) → number

_counts: BufferedCounts[tuple[str, str], int] = BufferedCounts(int)


def count_lookup(namespace: str, outcome: str = "", *, size: int = 0) -> None:
    """Count a lookup and the bytes read or stored. `outcome` is hits, misses or errors; "" counts none."""
    if outcome:
        _counts.add((namespace, outcome), 1)
    if size:
        _counts.add((namespace, "bytes"), size)
    if not _counts.is_flushing:
        _start_flusher()


def _start_flusher() -> None:
    try:
        client = prosa_redis.client()
    except RuntimeError:  # outside an application, as in a unit test
        return
    _counts.start_flushing(
        lambda: partial(flush_counts, client), lambda: FLUSH_EVERY_S, name="cache-stats"
    )


def flush_counts(client: redis.Redis) -> None:
    """Add this process's counts to the sums in Redis; keep them while Redis is away."""

    def write(counts: LookupCounts) -> None:
        if not counts:
            return
        with client.pipeline(transaction=True) as pipe:
            for name in (key("cachestats", "total"), _hour_key(clock.now())):
                for (namespace, outcome), number in counts.items():
                    pipe.hincrby(name, f"{namespace}:{outcome}", number)
                pipe.expire(name, ttl("cachestats"))
            pipe.execute()

    with suppress(RedisError):
        _counts.flush(write)


def _hour_key(moment: datetime) -> str:
    return key("cachestats", f"{moment:%Y%m%d%H}")


def read_counts(client: redis.Redis) -> tuple[LookupCounts, list[tuple[datetime, LookupCounts]]]:
    """Return the counts of all processes: the total, and each of the last 24 hours, the current one last.

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
    """Parse one hash; a value that is not a number counts as 0, a key of another type as empty."""
    counts: LookupCounts = {}
    for field, number in found.items() if isinstance(found, dict) else ():
        namespace, _, outcome = field.decode("utf-8", "replace").rpartition(":")
        counts[namespace, outcome] = int(number) if number.isdigit() else 0
    return counts
