"""Private PostgreSQL server that tests can stop and start, if its programs are installed."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

from tests.support.ports import free_port


def find_postgresql() -> Path | None:
    """Return the folder of initdb and pg_ctl, or None if PostgreSQL is not installed."""
    on_path = shutil.which("initdb")
    folders = [Path(on_path).resolve().parent] if on_path else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    fit = (folder for folder in folders if (folder / "pg_ctl").is_file())
    return next(fit, None)


class PostgresqlServer:
    """Server that runs as an unprivileged user, because PostgreSQL refuses to run as root."""

    def __init__(self) -> None:
        found = find_postgresql()
        assert found is not None, "no PostgreSQL here"
        self._programs = found
        self._home = Path(tempfile.mkdtemp(prefix="prosa-pg-"))
        self._port = free_port()
        self._user = _unprivileged()
        if self._user:
            shutil.chown(self._home, self._user)
        self._run("initdb", "-D", self._data, "-A", "trust", "-U", "postgres", "--no-sync")

    @property
    def _data(self) -> str:
        return str(self._home / "data")

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self._port}/postgres"

    def start(self) -> None:
        options = (
            f"-p {self._port} -h 127.0.0.1 -k {self._home} -c fsync=off -c max_connections=200"
        )
        self._run(
            "pg_ctl", "-D", self._data, "-w", "-l", f"{self._home}/log", "-o", options, "start"
        )

    def stop(self, how: str = "fast") -> None:
        self._run("pg_ctl", "-D", self._data, "-w", "-m", how, "stop")

    def restart(self) -> None:
        """Restart and cut every connection, as a failover does."""
        self.stop("immediate")
        self.start()

    def close(self) -> None:
        with suppress(subprocess.CalledProcessError):
            self.stop("immediate")
        shutil.rmtree(self._home, ignore_errors=True)

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [str(self._programs / program), *arguments],
            check=True,
            user=self._user,
            cwd=self._home,
            stdout=subprocess.DEVNULL,
            timeout=120,
        )


def _unprivileged() -> str | None:
    if os.geteuid() != 0:
        return None
    names = {user.pw_name for user in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"
