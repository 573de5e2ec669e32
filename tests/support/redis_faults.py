"""Faults of a Redis server, injected into a real one and repaired."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.support.ports import wait_for
from tests.support.redis_server import APP_PASSWORD, APP_USER, RedisServer

LOADED_KEYS = 10_000


@dataclass(frozen=True, slots=True)
class RedisFault:
    name: str
    inject: Callable[[RedisServer], None]
    repair: Callable[[RedisServer], None]


def _fill_memory(server: RedisServer) -> None:
    server.admin.config_set("maxmemory-policy", "noeviction")
    server.admin.config_set("maxmemory", "1")


def _free_memory(server: RedisServer) -> None:
    server.admin.config_set("maxmemory", "128mb")
    server.admin.config_set("maxmemory-policy", "volatile-ttl")


def _make_read_only(server: RedisServer) -> None:
    server.admin.execute_command("REPLICAOF", "127.0.0.1", "1")


def _make_writable(server: RedisServer) -> None:
    server.admin.execute_command("REPLICAOF", "NO", "ONE")


def _change_password(server: RedisServer) -> None:
    server.set_app_password("another password")
    server.admin.client_kill_filter(user=APP_USER)


def _restart_with_slow_loading(server: RedisServer) -> None:
    """Restart a server that answers -LOADING, 5 ms a key, until `_finish_loading`."""
    pipe = server.admin.pipeline(transaction=False)
    for number in range(LOADED_KEYS):
        pipe.set(f"ballast:{number}", "x" * 50, ex=600)
    pipe.execute()
    # Redis answers no requests while it loads an AOF of commands; with a snapshot inside it does.
    server.admin.bgrewriteaof()
    wait_for(lambda: not _is_rewriting(server), 30)
    server.shut_down()
    server.start("--key-load-delay", "5000", "--loading-process-events-interval-bytes", "1024")


def _is_rewriting(server: RedisServer) -> bool:
    found = server.admin.info("persistence")
    return bool(found["aof_rewrite_in_progress"] or found["aof_rewrite_scheduled"])


def _finish_loading(server: RedisServer) -> None:
    server.admin.config_set("key-load-delay", "0")
    wait_for(lambda: server.admin.info("persistence")["loading"] == 0, 30)


FAULTS = (
    RedisFault("killed", RedisServer.kill, RedisServer.start),
    RedisFault("stopped", RedisServer.shut_down, RedisServer.start),
    RedisFault("hanging", RedisServer.freeze, RedisServer.thaw),
    RedisFault("full", _fill_memory, _free_memory),
    RedisFault("read-only", _make_read_only, _make_writable),
    RedisFault(
        "other password",
        _change_password,
        lambda server: server.set_app_password(APP_PASSWORD),
    ),
    RedisFault("loading", _restart_with_slow_loading, _finish_loading),
)
