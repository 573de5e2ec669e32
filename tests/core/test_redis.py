from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from flask import Flask
from redis.exceptions import NoPermissionError

from chatbot import create_app
from chatbot.core import redis as prosa_redis
from chatbot.core.redis import BreakerPool, RedisUnavailable, create_pool, key, ttl
from chatbot.core.redis.keys import TTL_S
from chatbot.core.redis.pool import TIMEOUT_S
from tests.support.call_counts import RedisProxy
from tests.support.ports import wait_for
from tests.support.redis_server import APP_PASSWORD, APP_USER, RedisServer
from tests.support.settings import make_settings


@pytest.fixture
def pool(redis_server: RedisServer) -> Iterator[BreakerPool]:
    made = create_pool(redis_server.url, max_connections=4)
    yield made
    made.disconnect()


@pytest.fixture
def client(pool: BreakerPool) -> redis.Redis:
    return redis.Redis(connection_pool=pool)


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    server = RedisServer()
    server.start()
    yield server
    server.kill()


def assert_fails(client: redis.Redis) -> float:
    """Assert that a command fails, and return the seconds that it took."""
    began = time.monotonic()
    with pytest.raises(redis.RedisError):
        client.set("x", "1", ex=5)
    return time.monotonic() - began


def test_a_refused_connection_opens_the_breaker_and_later_uses_fail_at_once(
    pool: BreakerPool, client: redis.Redis, redis_server: RedisServer
) -> None:
    assert client.ping()
    redis_server.kill()
    assert_fails(client)
    assert pool.breaker.is_open
    commands = pool.breaker.commands
    for _ in range(1000):
        with pytest.raises(RedisUnavailable):
            client.get("x")
    assert pool.breaker.commands == commands, "nothing was sent"
    assert pool.breaker.trips == 1


def test_it_closes_by_itself_when_redis_is_back(
    pool: BreakerPool, client: redis.Redis, redis_server: RedisServer
) -> None:
    redis_server.kill()
    assert_fails(client)
    redis_server.start()
    wait_for(lambda: not pool.breaker.is_open, 5)
    assert client.set("x", "1", ex=5)


def test_recovery_leaves_no_connection_open(own_redis: RedisServer) -> None:
    """On a server of its own: other applications of this process are connected to the shared one."""
    pool = create_pool(own_redis.url, max_connections=4)
    client = redis.Redis(connection_pool=pool)
    pool.breaker.on_recovery.append(lambda direct: direct.ping())
    client.ping()
    own_redis.freeze()
    assert_fails(client)
    own_redis.thaw()
    wait_for(lambda: not pool.breaker.is_open, 5)
    wait_for(lambda: "prosa-web" not in [c["name"] for c in own_redis.admin.client_list()], 5)
    assert client.ping()
    pool.disconnect()


def test_a_hang_costs_one_timeout_and_then_nothing(
    pool: BreakerPool, client: redis.Redis, redis_server: RedisServer
) -> None:
    client.ping()
    redis_server.freeze()
    assert assert_fails(client) < 3 * TIMEOUT_S
    assert assert_fails(client) < 0.05
    redis_server.thaw()
    wait_for(lambda: not pool.breaker.is_open, 5)
    assert client.ping()


def test_a_command_that_hung_is_not_sent_again(
    client: redis.Redis, redis_server: RedisServer, pool: BreakerPool
) -> None:
    client.ping()
    redis_server.freeze()
    with pytest.raises(redis.TimeoutError):
        client.incr("counted")
    redis_server.thaw()
    wait_for(lambda: not pool.breaker.is_open, 5)
    assert client.get("counted") == b"1"


def test_a_replica_that_accepts_no_writes_counts_as_away(
    pool: BreakerPool, client: redis.Redis, redis_server: RedisServer
) -> None:
    redis_server.admin.execute_command("REPLICAOF", "127.0.0.1", "1")
    try:
        assert_fails(client)
        assert pool.breaker.is_open
        time.sleep(0.3)
        assert pool.breaker.is_open, "the probe must write"
    finally:
        redis_server.admin.execute_command("REPLICAOF", "NO", "ONE")
    wait_for(lambda: not pool.breaker.is_open, 5)


def test_a_full_memory_counts_as_away(
    pool: BreakerPool, client: redis.Redis, redis_server: RedisServer
) -> None:
    admin = redis_server.admin
    admin.config_set("maxmemory-policy", "noeviction")
    admin.config_set("maxmemory", "1")
    try:
        assert_fails(client)
        assert pool.breaker.is_open
    finally:
        admin.config_set("maxmemory", "128mb")
        admin.config_set("maxmemory-policy", "volatile-ttl")
    wait_for(lambda: not pool.breaker.is_open, 5)


def test_credentials_that_are_no_longer_accepted_count_as_away(
    pool: BreakerPool, redis_server: RedisServer
) -> None:
    wrong = create_pool(redis_server.url.replace(APP_PASSWORD, "wrong"), max_connections=1)
    assert_fails(redis.Redis(connection_pool=wrong))
    assert wrong.breaker.is_open
    wrong.disconnect()
    anonymous = create_pool(
        redis_server.url.replace(f"{APP_USER}:{APP_PASSWORD}@", ""), max_connections=1
    )
    redis_server.admin.execute_command("ACL", "SETUSER", "default", "resetpass")
    try:
        assert_fails(redis.Redis(connection_pool=anonymous))
        assert anonymous.breaker.is_open
    finally:
        redis_server.kill()
        redis_server.start()
    anonymous.disconnect()


def test_a_connection_that_the_server_closed_while_idle_is_no_outage(
    pool: BreakerPool, client: redis.Redis, redis_server: RedisServer
) -> None:
    client.ping()
    redis_server.admin.client_kill_filter(_type="normal", skipme=True)
    assert client.set("x", "1", ex=5)
    assert pool.breaker.trips == 0


def test_a_wrong_command_is_no_outage(pool: BreakerPool, client: redis.Redis) -> None:
    client.set("x", "text", ex=5)
    with pytest.raises(redis.ResponseError):
        client.lpush("x", "1")
    with pytest.raises(NoPermissionError):
        client.keys("*")
    assert not pool.breaker.is_open


def test_recovery_runs_its_actions_before_traffic_and_waits_for_their_success(
    pool: BreakerPool, client: redis.Redis, redis_server: RedisServer
) -> None:
    seen: list[bool] = []

    def action(direct: redis.Redis) -> None:
        seen.append(pool.breaker.is_open)
        direct.set("recovered", "1", ex=5)
        if len(seen) < 3:
            raise ValueError("not yet")

    pool.breaker.on_recovery.append(action)
    redis_server.kill()
    assert_fails(client)
    redis_server.start()
    wait_for(lambda: not pool.breaker.is_open, 5)
    assert seen == [True, True, True]
    assert client.get("recovered") == b"1"


def test_more_threads_than_connections_wait_their_turn(redis_server: RedisServer) -> None:
    long_timeouts = "?socket_timeout=30&socket_connect_timeout=30"  # a loaded machine is no outage
    pool = create_pool(redis_server.url + long_timeouts, max_connections=4)
    pool.timeout = 30
    client = redis.Redis(connection_pool=pool)
    wrong: list[object] = []

    def use(number: int) -> None:
        for turn in range(50):
            client.set(f"n{number}", f"{number}-{turn}", ex=60)
            if client.get(f"n{number}") != f"{number}-{turn}".encode():
                wrong.append((number, turn))

    threads = [threading.Thread(target=use, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert pool.breaker.trips == 0
    assert 0 < len(pool._connections) <= 4
    pool.disconnect()


def test_a_pool_with_all_in_use_is_no_outage(pool: BreakerPool, client: redis.Redis) -> None:
    taken = [pool.get_connection() for _ in range(4)]
    with pytest.raises(redis.ConnectionError, match="No connection available"):
        client.get("x")
    assert not pool.breaker.is_open
    for connection in taken:
        pool.release(connection)
    assert client.ping()


def test_the_breaker_of_a_switched_off_redis_stays_open(sqlite_url: str, tmp_path: Path) -> None:
    for url in (None, "redis://127.0.0.1:1/0"):
        settings = make_settings(
            tmp_path, DATABASE_URL=sqlite_url, REDIS_URL=url, REDIS_ENABLED="false"
        )
        app = create_app(settings)
        with app.app_context():
            with pytest.raises(RedisUnavailable):
                prosa_redis.client().ping()
            assert prosa_redis.breaker().is_open
            assert app.test_client().get("/health").json["status"] == "degraded"  # type: ignore[index]
            prosa_redis.breaker().trip(ValueError("more"))
            assert prosa_redis.breaker()._thread is None


def test_all_extensions_share_one_pool(app: Flask) -> None:
    pool = prosa_redis.state().pool
    cache = next(iter(app.extensions["cache"].values()))
    assert app.session_interface.client.connection_pool is pool  # type: ignore[attr-defined]
    assert cache._read_client.connection_pool is pool
    assert app.extensions["prosa_rate_limits"].client.connection_pool is pool


def test_the_handshake_is_short_and_a_command_one_round_trip(redis_server: RedisServer) -> None:
    redis_proxy = RedisProxy(redis_server.url)
    pool = create_pool(redis_proxy.url, max_connections=1)
    client = redis.Redis(connection_pool=pool)
    with redis_proxy.count_round_trips() as first:
        client.ping()
    with redis_proxy.count_round_trips() as second:
        client.ping()
    assert second.number == 1
    assert first.number <= 4  # authentication, client name, server id, the command
    pool.disconnect()
    redis_proxy.close()


def test_every_namespace_has_a_ttl_and_an_unknown_one_is_an_error() -> None:
    assert all(0 < seconds <= 31 * 86400 for seconds in TTL_S.values())
    assert key("conversation", 12, "x") == "prosa:conversation:12:x"
    assert ttl("conversation") == 86400
    with pytest.raises(KeyError):
        key("invented", 1)
