"""Status of Redis for its page: whether it is in use, its memory, and its clients."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from redis.exceptions import RedisError

from chatbot.core import clock
from chatbot.core import redis as prosa_redis


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisStatus:
    """Status of Redis. `is_used` is about this process; the server's figures are empty without Redis."""

    is_used: bool
    is_configured: bool
    reason: str = ""
    away_since: datetime | None = None
    trips: int = 0
    version: str = ""
    mode: str = ""
    uptime_days: int = 0
    used_memory: int = 0
    max_memory: int = 0
    peak_memory: int = 0
    eviction_policy: str = ""
    evicted_keys: int = 0
    keys: int = 0
    operations_per_s: int = 0
    is_aof_enabled: bool = False
    has_snapshots: bool = False
    last_save_failed: bool = False
    hits: int = 0
    misses: int = 0
    clients: int = 0
    max_clients: int = 0
    clients_by_name: dict[str, int] = field(default_factory=dict)

    @property
    def server_hit_rate(self) -> float | None:
        """Percent of hits since the server started, including those of other programs."""
        looked_up = self.hits + self.misses
        return round(100 * self.hits / looked_up, 2) if looked_up else None


def get_redis_status() -> RedisStatus:
    """Read the status in one round trip; none while the breaker is open."""
    breaker, state = prosa_redis.breaker(), prosa_redis.state()
    try:
        with state.client.pipeline(transaction=False) as pipe:
            pipe.info()
            pipe.client_list()
            # Do not raise: a managed Redis may forbid CLIENT LIST.
            info, clients = pipe.execute(raise_on_error=False)
    except RedisError:
        info, clients = None, []
    if not isinstance(info, dict):
        return RedisStatus(
            is_used=False,
            is_configured=state.url is not None,
            reason=breaker.reason,
            away_since=clock.from_unix(breaker.opened_at) if breaker.opened_at else None,
            trips=breaker.trips,
        )
    return _parse_info(info, clients if isinstance(clients, list) else [], breaker.trips)


def _parse_info(info: dict[str, Any], clients: list[dict[str, str]], trips: int) -> RedisStatus:
    databases = [value for name, value in info.items() if name.startswith("db")]
    return RedisStatus(
        is_used=True,
        is_configured=True,
        trips=trips,
        version=str(info.get("valkey_version") or info.get("redis_version", "")),
        mode=f"{info.get('redis_mode', '')}, {info.get('role', '')}".strip(", "),
        uptime_days=int(info.get("uptime_in_days", 0)),
        used_memory=int(info.get("used_memory", 0)),
        max_memory=int(info.get("maxmemory", 0)),
        peak_memory=int(info.get("used_memory_peak", 0)),
        eviction_policy=str(info.get("maxmemory_policy", "")),
        evicted_keys=int(info.get("evicted_keys", 0)),
        keys=sum(value.get("keys", 0) for value in databases if isinstance(value, dict)),
        operations_per_s=int(info.get("instantaneous_ops_per_sec", 0)),
        is_aof_enabled=bool(info.get("aof_enabled")),
        has_snapshots=int(info.get("rdb_last_save_time", 0)) > _started_at(info) + 1,
        last_save_failed="err"
        in (info.get("rdb_last_bgsave_status"), info.get("aof_last_write_status")),
        hits=int(info.get("keyspace_hits", 0)),
        misses=int(info.get("keyspace_misses", 0)),
        clients=int(info.get("connected_clients", 0)),
        max_clients=int(info.get("maxclients", 0)),
        clients_by_name=dict(Counter(_client_name(client) for client in clients)),
    )


def _started_at(info: dict[str, Any]) -> float:
    """Return the server's start, which it also reports as its last save until it has saved once."""
    return float(info.get("server_time_usec", 0)) / 1e6 - float(info.get("uptime_in_seconds", 0))


def _client_name(client: dict[str, str]) -> str:
    """Return our client's name. Others, and RQ's random names, are counted as "other"."""
    name = client.get("name", "")
    return name if name.startswith("prosa-") else "other"
