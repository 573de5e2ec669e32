"""Every Redis key of ours is built here: `prosa:<namespace>:<parts>`, always with a TTL.

RQ's own structures (`prosa:rq:*`) are the only keys without one: its lists and sets of queues, workers
and jobs by state live as long as the queue does.
"""

from __future__ import annotations

PREFIX = "prosa:"
RQ_PREFIX = "prosa:rq"

# namespace → seconds that its keys live at most
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
    "worker": 60,
    "probe": 30,
}


def key(namespace: str, *parts: object) -> str:
    """`key("conversation", 12)` → `prosa:conversation:12`.

    Raises:
        KeyError: a namespace without an entry in TTL_S.
    """
    TTL_S[namespace]
    return ":".join((PREFIX + namespace, *(str(part) for part in parts)))


def ttl(namespace: str) -> int:
    """Seconds after which a key of this namespace expires."""
    return TTL_S[namespace]
