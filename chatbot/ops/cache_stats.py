"""Cache statistics over all processes: totals, and by hour for the last 24 hours."""

from __future__ import annotations

from typing import Any

from chatbot.core import redis as prosa_redis
from chatbot.core.cache.stats import LookupCounts, flush_counts, read_counts

OUTCOMES = ("hits", "misses", "errors", "bytes")


def get_cache_stats() -> dict[str, Any]:
    """Return hit_rate (percent of look-ups), hits, misses, errors and bytes (read and stored).

    `namespaces` has the same by namespace, `history` by hour (the hour's start), the present one last.
    Without Redis all is zero.
    """
    client = prosa_redis.client()
    try:
        flush_counts(client)
        total, history = read_counts(client)
    except prosa_redis.RedisError:
        total, history = {}, []
    return {
        **_summarize(total),
        "namespaces": {
            namespace: _summarize(total, namespace) for namespace in sorted({n for n, _ in total})
        },
        "history": [{"hour": hour, **_summarize(of)} for hour, of in history],
    }


def _summarize(counts: LookupCounts, namespace: str | None = None) -> dict[str, Any]:
    """Sum the counts of one namespace, or of all."""
    hits, misses, errors, size = (
        sum(
            number
            for (of, counted), number in counts.items()
            if counted == outcome and namespace in (None, of)
        )
        for outcome in OUTCOMES
    )
    looked_up = hits + misses
    rate = round(100 * hits / looked_up, 2) if looked_up else 0.0
    return {"hit_rate": rate, "hits": hits, "misses": misses, "errors": errors, "bytes": size}
