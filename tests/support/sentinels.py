"""Primary, replica and three Sentinels with the settings in `deploy/redis`, as real processes."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import redis

from config import ROOT
from tests.support.ports import free_port, wait_for
from tests.support.redis_server import APP_PASSWORD, APP_USER, RedisServer
from workers import embedded_redis
from workers.parent_death import die_with_parent

PRIMARY = "prosa"
SETTINGS_FOLDER = ROOT / "deploy" / "redis"


class SentinelCluster:
    """Cluster; `url` is for Prosa. Sentinels and servers have the same password."""

    def __init__(self) -> None:
        self._home = Path(tempfile.mkdtemp(prefix="prosa-test-sentinels-"))
        self.ports = [free_port(), free_port()]
        self.servers = [_server(port) for port in self.ports]
        self.sentinel_ports = [free_port() for _ in range(3)]
        self._sentinels: list[subprocess.Popen[bytes]] = []

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{port}" for port in self.sentinel_ports)
        return f"redis+sentinel://{APP_USER}:{APP_PASSWORD}@{hosts}/{PRIMARY}/0"

    def start(self) -> SentinelCluster:
        for server in self.servers:
            server.start()
        replica = self.servers[1].admin
        replica.execute_command("REPLICAOF", "127.0.0.1", self.ports[0])
        wait_for(lambda: replica.info("replication")["master_link_status"] == "up")
        for port in self.sentinel_ports:
            self._sentinels.append(self._start_sentinel(port))
        for port in self.sentinel_ports:
            wait_for(lambda port=port: _sees_all_servers(port), 30)
        return self

    def primary_port(self) -> int:
        """Return the port of the primary according to the first Sentinel."""
        return int(
            _sentinel_client(self.sentinel_ports[0]).sentinel_get_master_addr_by_name(PRIMARY)[1]
        )

    def kill_primary(self) -> None:
        """Kill the primary and wait until the replica has replaced it."""
        port = self.primary_port()
        self.servers[self.ports.index(port)].kill()
        wait_for(lambda: self.primary_port() != port, 60)

    def stop(self) -> None:
        for sentinel in self._sentinels:
            sentinel.kill()
            sentinel.wait()
        for server in self.servers:
            if server.is_running:
                server.thaw()
                server.kill()

    def stop_sentinels(self) -> None:
        for sentinel in self._sentinels:
            sentinel.kill()
            sentinel.wait()
        self._sentinels.clear()

    def _start_sentinel(self, port: int) -> subprocess.Popen[bytes]:
        path = self._home / f"sentinel-{port}.conf"
        path.write_text(
            f"port {port}\nbind 127.0.0.1\ndir {self._home}\nlogfile {path}.log\n"
            f"user {APP_USER} on >{APP_PASSWORD} allchannels +@all\n"
            + (SETTINGS_FOLDER / "sentinel.conf")
            .read_text()
            .replace("redis-primary 6379", f"127.0.0.1 {self.ports[0]}")
        )
        program = embedded_redis.find_server()
        assert program is not None
        return subprocess.Popen([program, str(path), "--sentinel"], preexec_fn=die_with_parent)


def _server(port: int) -> RedisServer:
    return RedisServer(
        "--port",
        str(port),
        "--bind",
        "127.0.0.1",
        settings=(SETTINGS_FOLDER / "redis.conf").read_text(),
    )


def _sentinel_client(port: int) -> redis.Redis:
    return redis.Redis("127.0.0.1", port, protocol=2, retry=None)


def _sees_all_servers(port: int) -> bool:
    try:
        state = _sentinel_client(port).sentinel_master(PRIMARY)
    except redis.RedisError:
        return False
    return state["num-slaves"] == 1 and state["num-other-sentinels"] == 2
