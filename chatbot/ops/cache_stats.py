"""How well the cache works, summed over all processes, and how it did in the last 24 hours."""

from __future__ import annotations

from typing import Any

from chatbot.core import redis as prosa_redis
from chatbot.core.cache.stats import LookupCounts, flush_counts, read_counts

OUTCOMES = ("hits", "misses", "errors", "bytes")


def get_cache_stats() -> dict[str, Any]:
    """`hit_rate` is percent of look-ups, `bytes` what was read and stored; the same per namespace, and
    per hour (a moment, its begin) in `history`, the present hour last. Without Redis all is zero."""
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
    """Of one namespace, or of all."""
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
