"""Names and TTLs of all Redis keys: `prosa:<namespace>:<parts>`, always with a TTL.

Only RQ's own structures (`prosa:rq:*`) have none: its lists and sets of queues, workers and jobs exist as
long as the queue does.
"""

from __future__ import annotations

PREFIX = "prosa:"
RQ_PREFIX = "prosa:rq"

# namespace → longest TTL of its keys, in seconds
TTL_S = {
    "cache": 3600,
    "cachetag": 86400,  # longer than any cached value, see core.cache.store
    "cacheepoch": 30 * 86400,
    "cachestats": 8 * 86400,
    "cachelock": 30,
    "session": 31 * 86400,
    "conversation": 86400,
    "wakeup": 60,
    "dedupe": 30,
    "throttle": 120,
    "burst": 300,
    "dailyrecipients": 86400,
    "limit": 3600,
    "live": 86400,
    "probe": 30,
}


def key(namespace: str, *parts: object) -> str:
    """Return the key of the parts: `key("conversation", 12)` → `prosa:conversation:12`.

    Raises:
        KeyError: the namespace has no entry in TTL_S.
    """
    TTL_S[namespace]
    return ":".join((PREFIX + namespace, *(str(part) for part in parts)))


def ttl(namespace: str) -> int:
    """Return the TTL of the namespace in seconds."""
    return TTL_S[namespace]
