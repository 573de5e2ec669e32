"""Real Redis for tests that can be killed, frozen and restarted; the application's user has an ACL."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from chatbot.core.redis.keys import PREFIX, RQ_PREFIX
from tests.support.ports import wait_for
from workers import embedded_redis
from workers.parent_death import die_with_parent

APP_USER = "prosa"
APP_PASSWORD = "app-password"


class RedisServer:
    def __init__(self, *more: str, settings: str = "") -> None:
        """Prepare a server. `settings` is the text of redis.conf; options in `more` override it."""
        server = embedded_redis.find_server()
        assert server, "no redis-server here; requirements-dev.txt brings one for Linux x86-64"
        self._home = Path(tempfile.mkdtemp(prefix="prosa-test-redis-"))
        self._socket = self._home / "r.sock"
        self._command = embedded_redis.server_command(server, self._socket, self._home / "data")
        if settings:  # in a file of its own, because a Sentinel rewrites it
            path = self._home / "redis.conf"
            path.write_text(settings)
            self._command[1:1] = [str(path)]
        self._command += more
        self._process: subprocess.Popen[bytes] | None = None
        self.admin = redis.Redis(
            unix_socket_path=str(self._socket), protocol=2, retry=Retry(NoBackoff(), 1)
        )

    @property
    def url(self) -> str:
        return f"unix://{APP_USER}:{APP_PASSWORD}@{self._socket}"

    def start(self, *more: str) -> None:
        """Start the server and wait until it answers, possibly that it is still loading."""
        self._process = subprocess.Popen(
            [*self._command, *more], stdout=subprocess.DEVNULL, preexec_fn=die_with_parent
        )
        wait_for(self._answers)
        self.set_app_password(APP_PASSWORD)

    def set_app_password(self, password: str) -> None:
        """Set the password of the application's user, who may use neither KEYS nor FLUSH*."""
        self.admin.execute_command(
            "ACL", "SETUSER", APP_USER, "reset", "on", f">{password}", "~*", "&*",
            "+@all", "-keys", "-flushall", "-flushdb",
        )  # fmt: skip

    def _answers(self) -> bool:
        try:
            return bool(self.admin.ping())
        except redis.BusyLoadingError:
            return True
        except redis.RedisError:
            return False

    def shut_down(self) -> None:
        self._signal(signal.SIGTERM)
        assert self._process is not None
        self._process.wait()

    def kill(self) -> None:
        self._signal(signal.SIGKILL)
        assert self._process is not None
        self._process.wait()

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def flush(self) -> None:
        wait_for(self._flushed)

    def _flushed(self) -> bool:
        try:
            return bool(self.admin.flushall())
        except redis.BusyLoadingError:
            return False

    def keys_without_ttl(self) -> list[str]:
        """Return Prosa's keys without a TTL, except RQ's, which live as long as their queue."""
        names = [
            name
            for name in self.admin.scan_iter(match=f"{PREFIX}*", count=1000)
            if not name.startswith(RQ_PREFIX.encode())
        ]
        with self.admin.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.ttl(name)
            return [
                name.decode() for name, ttl in zip(names, pipe.execute(), strict=True) if ttl == -1
            ]

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _signal(self, number: int) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)
