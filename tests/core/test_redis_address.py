"""Every form of REDIS_URL leads to a real server, and after a failover to the next one."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from chatbot.core.redis import create_blocking_client, create_pool
from config import ConfigError
from tests.support.ports import free_port, wait_for
from tests.support.redis_server import APP_PASSWORD, APP_USER, RedisServer
from tests.support.sentinels import SentinelCluster
from tests.support.settings import make_settings

CREDENTIALS = f"{APP_USER}:{APP_PASSWORD}"


def reaches_server(url: str | None) -> bool:
    """Return whether the shared pool and a blocking client both reach the server as the app's user."""
    assert url is not None
    pool = create_pool(url, max_connections=1)
    shared, blocking = (
        redis.Redis(connection_pool=pool),
        create_blocking_client(url, "t", timeout_s=5),
    )
    try:
        return {shared.acl_whoami(), blocking.acl_whoami()} == {APP_USER}
    except redis.RedisError:
        return False
    finally:
        pool.disconnect()
        blocking.connection_pool.disconnect()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Self-signed certificate of localhost, like Heroku's."""
    home = tmp_path_factory.mktemp("tls")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-keyout", str(home / "key.pem"), "-out", str(home / "cert.pem")),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"),
        ],
        check=True,
        capture_output=True,
    )
    return home / "cert.pem"


@pytest.fixture(scope="module")
def ports(certificate: Path) -> Iterator[tuple[int, int]]:
    """Ports of one server: plain, TLS."""
    plain, tls = free_port(), free_port()
    server = RedisServer(
        *("--port", str(plain), "--tls-port", str(tls), "--bind", "127.0.0.1"),
        *("--tls-cert-file", str(certificate), "--tls-auth-clients", "no"),
        *("--tls-key-file", str(certificate.with_name("key.pem"))),
    )
    try:
        server.start()
    except AssertionError:
        if server.is_running:
            raise
        pytest.skip("the redis-server here was built without TLS")
    yield plain, tls
    server.kill()


def test_host_socket_and_credentials(
    ports: tuple[int, int], redis_server: RedisServer, tmp_path: Path
) -> None:
    tcp = make_settings(
        tmp_path, REDIS_URL=f"redis://{CREDENTIALS}@127.0.0.1:{ports[0]}/0"
    ).redis_url
    assert reaches_server(tcp)
    assert reaches_server(make_settings(tmp_path, REDIS_URL=redis_server.url).redis_url)
    assert tcp is not None
    assert not reaches_server(tcp.replace(APP_PASSWORD, "wrong"))


def test_a_certificate_is_verified_unless_a_setting_says_otherwise(
    ports: tuple[int, int], certificate: Path, tmp_path: Path
) -> None:
    url = f"rediss://{CREDENTIALS}@localhost:{ports[1]}/0"

    def connects_with(**settings: str) -> bool:
        return reaches_server(make_settings(tmp_path, REDIS_URL=url, **settings).redis_url)

    assert not connects_with(), "it is self-signed"
    assert connects_with(REDIS_TLS_CA=str(certificate))
    assert connects_with(REDIS_TLS_VERIFY="false")
    url = url.replace("localhost", "127.0.0.1")
    assert not connects_with(REDIS_TLS_CA=str(certificate)), "it belongs to another host"
    with pytest.raises(ConfigError, match="REDIS_TLS_CA: /none is no file"):
        connects_with(REDIS_TLS_CA="/none")


@pytest.mark.parametrize(
    "url",
    [
        "localhost:6379",
        "http://localhost:6379",
        "redis://",
        "redis://host:port/0",
        "redis://host/cache",
        "rediss://:pw@/0",
        "unix://",
        "redis+sentinel://host:26379",
        "redis+sentinel://host:26379/",
        "redis+sentinel://host:x,b/name",
        "redis+sentinel://host/name/db",
    ],
)
def test_an_invalid_address_is_refused_with_examples(tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigError, match=r"REDIS_URL must look like redis://.*redis\+sentinel://"):
        make_settings(tmp_path, REDIS_URL=url)


@pytest.fixture
def sentinel_cluster() -> Iterator[SentinelCluster]:
    made = SentinelCluster().start()
    yield made
    made.stop()


def test_the_primary_is_found_by_name_and_found_again_after_a_failover(
    sentinel_cluster: SentinelCluster,
) -> None:
    assert reaches_server(sentinel_cluster.url)
    pool = create_pool(sentinel_cluster.url, max_connections=2)
    client = redis.Redis(connection_pool=pool)
    first = sentinel_cluster.primary_port()
    client.set("prosa:x", "1", ex=60)
    # The old primary goes on as a replica, and our socket to it still works.
    redis.Redis("127.0.0.1", sentinel_cluster.sentinel_ports[0], protocol=2).sentinel_failover(
        "prosa"
    )
    wait_for(lambda: sentinel_cluster.primary_port() != first, 30)

    def writes() -> bool:
        try:
            return bool(client.set("prosa:x", "2", ex=60))
        except redis.RedisError:
            return False

    wait_for(lambda: writes() and _port_of(client) == sentinel_cluster.primary_port(), 30)
    assert pool.breaker.trips <= 3, "one trip per outage, not one per idle socket"
    pool.disconnect()


def _port_of(client: redis.Redis) -> int:
    return int(client.info("server")["tcp_port"])


def test_without_sentinels_open_connections_work_and_new_ones_fail_soon(
    sentinel_cluster: SentinelCluster,
) -> None:
    pool = create_pool(sentinel_cluster.url, max_connections=1)
    client = redis.Redis(connection_pool=pool)
    client.set("prosa:x", "1", ex=60)
    sentinel_cluster.stop_sentinels()
    assert client.get("prosa:x") == b"1"
    pool.disconnect()
    began = time.monotonic()
    with pytest.raises(redis.RedisError):
        client.get("prosa:x")
    assert time.monotonic() - began < 10, "redis-py's own ten retries a Sentinel take 12 s"
    assert pool.breaker.is_open
