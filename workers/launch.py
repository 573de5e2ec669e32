"""`make run`: all processes on this machine under one supervisor.

Web, workers, scheduler, simulator and, if REDIS_URL is not set, a Redis server of our own. A process that
dies is restarted; Ctrl-C ends all.
"""

from __future__ import annotations

import fcntl
import json
import multiprocessing
import os
import secrets
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from functools import partial
from pathlib import Path
from typing import Any

from honcho.manager import Manager
from honcho.process import Popen, Process

import config
from chatbot.core.tasks import QUEUES
from private_files import tighten, write_private_file
from workers import embedded_redis
from workers.parent_death import die_with_parent

READY_TIMEOUT_S = 120
META_API_PREFIX = "https://graph.facebook.com/"
RESTART_PAUSE_S = 1.0
PYTHON = shlex.quote(sys.executable)


class RestartingProcess(Process):
    """Process that is restarted when it ends, until the supervisor is stopping."""

    stopping: Any = None

    def run(self, events: Any = None, ignore_signals: bool = False) -> None:
        # honcho's parent process of the command ignores SIGTERM; the command itself does not.
        die_with_parent(signal.SIGKILL)
        self._child_ctor = partial(Popen, preexec_fn=die_with_parent)
        while True:
            super().run(_StopMessageFilter(events), ignore_signals)
            if self.stopping.is_set():
                break
            time.sleep(RESTART_PAUSE_S)
        self._events = events
        self._send_message({"returncode": 0}, type="stop")


class _StopMessageFilter:
    """Event queue without the `stop` message of a process that is about to be restarted."""

    def __init__(self, events: Any) -> None:
        self._events = events

    def put(self, message: Any) -> None:
        if message.type != "stop":
            self._events.put(message)


class Supervisor(Manager):
    """Manager of honcho in which the end of one process does not end the others."""

    def __init__(self) -> None:
        super().__init__()
        self.stopping = multiprocessing.Event()
        RestartingProcess.stopping = self.stopping
        self._process_ctor = RestartingProcess

    def terminate(self) -> None:
        self.stopping.set()
        super().terminate()


def main() -> int:
    try:
        settings = config.load(use_run_env=False)
    except config.ConfigError as error:
        print(f"Prosa can't start: {error}", file=sys.stderr)
        return 1
    lock = _lock_home(settings.home)
    if lock is None:
        print(
            f"Prosa runs already in {settings.home}: stop it first, or set PROSA_HOME.",
            file=sys.stderr,
        )
        return 1
    for port in (settings.port, settings.simulator_port):
        if port is not None and _is_taken(port):
            print(
                f"Port {port} is taken on this machine: set PORT or SIMULATOR_PORT to a free one.",
                file=sys.stderr,
            )
            return 1
    environment = _environment(settings)
    write_private_file(settings.home / "run.env", _as_env_file(environment))
    try:
        return _run(settings, environment)
    finally:
        (settings.home / "run.env").unlink(missing_ok=True)


def _run(settings: config.Settings, environment: dict[str, str]) -> int:
    everything = os.environ | environment
    try:
        _prepare(settings, everything)
        sign_in = _create_admin(settings.home, everything)
    except subprocess.CalledProcessError as error:
        print(f"Prosa can't start: `flask {' '.join(error.cmd[3:5])}` failed; see above.")
        return 1
    supervisor = Supervisor()
    for name, command in _processes(environment):
        supervisor.add_process(name, f"exec {command}", env=everything, quiet=False)
    announcer = threading.Thread(
        target=_announce_when_ready, args=(settings, environment, sign_in), daemon=True
    )
    announcer.start()
    supervisor.loop()
    return 0 if supervisor.returncode in (0, 130, 143) else 1


def _lock_home(home: Path) -> Any:
    """Return the lock of `home`, or None: two runs would share a socket and a database."""
    file = (home / "lock").open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return None
    return file


def _is_taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def _environment(settings: config.Settings) -> dict[str, str]:
    """Return the environment of the children, and of `flask` in another terminal."""
    given = {
        "PROSA_HOME": str(settings.home),
        "PORT": str(settings.port),
        "DATABASE_URL": settings.database_url.replace("+psycopg", ""),
        "SECRET_KEY": settings.secret_key,
        "WHATSAPP_TOKEN": settings.whatsapp_token,
        "WHATSAPP_PHONE_NUMBER_ID": settings.whatsapp_phone_number_id,
        "WHATSAPP_BUSINESS_ACCOUNT_ID": settings.whatsapp_business_account_id,
        "WHATSAPP_APP_SECRET": settings.whatsapp_app_secret,
        "WHATSAPP_VERIFY_TOKEN": settings.whatsapp_verify_token,
    }
    if settings.simulator_port is not None:
        given["WHATSAPP_API_URL"] = f"http://127.0.0.1:{settings.simulator_port}/v25.0"
        given["SIMULATOR_PORT"] = str(settings.simulator_port)
        # The simulator knows nothing of the demo's older conversations: it would refuse replies to them.
        given["SIMULATOR_SETTINGS"] = os.environ.get(
            "SIMULATOR_SETTINGS", '{"service_window": false}'
        )
        given["SIMULATOR_CALLBACK_URL"] = f"http://127.0.0.1:{settings.port}/webhooks/whatsapp"
    if settings.redis_url is not None:
        given["REDIS_URL"] = settings.redis_url
    elif settings.redis_enabled:
        server = embedded_redis.find_server()
        if server is not None:
            path = embedded_redis.socket_path(settings.home)
            given["REDIS_URL"] = f"unix://{path}"
            given["PROSA_REDIS_SERVER"] = server
    return given


def _as_env_file(environment: dict[str, str]) -> str:
    """Format the addresses of the running processes; secrets have a file of their own."""
    public = ("PORT", "REDIS_URL", "DATABASE_URL", "WHATSAPP_API_URL", "SIMULATOR_PORT")
    return "".join(f"{k}='{v}'\n" for k, v in environment.items() if k in public)


def _processes(environment: dict[str, str]) -> list[tuple[str, str]]:
    """Return (name, command) of the Procfile's processes, and of Redis and the simulator if needed."""
    found = []
    server = environment.get("PROSA_REDIS_SERVER")
    if server:
        path = Path(environment["REDIS_URL"].removeprefix("unix://"))
        data = Path(environment["PROSA_HOME"]) / "redis"
        found.append(("redis", shlex.join(embedded_redis.server_command(server, path, data))))
    if "SIMULATOR_CALLBACK_URL" in environment:
        found.append(("simulator", f"{PYTHON} -m chatbot.simulator"))
    for line in (config.ROOT / "Procfile").read_text().splitlines():
        name, _, command = line.partition(":")
        if name != "release":
            found.append((name, _use_this_python(command.strip())))
    return found


def _use_this_python(command: str) -> str:
    """Replace `python` and `gunicorn` by those of the current virtual environment."""
    program, _, rest = command.partition(" ")
    module = "" if program == "python" else "-m gunicorn " if program == "gunicorn" else None
    return command if module is None else f"{PYTHON} {module}{rest}"


def _prepare(settings: config.Settings, environment: dict[str, str]) -> None:
    """Upgrade the schema, and load demo data into an empty database.

    Not with Meta's API: the fictitious numbers may belong to real people.
    """
    is_meta = settings.simulator_port is None and settings.whatsapp_api_url.startswith(
        META_API_PREFIX
    )
    for arguments in (["db", "upgrade"], *([] if is_meta else [["demo", "load"]])):
        subprocess.run(
            [sys.executable, "-m", "flask", *arguments],
            env=environment,
            cwd=config.ROOT,
            check=True,
            stdout=subprocess.DEVNULL,
        )


def _create_admin(home: Path, environment: dict[str, str]) -> tuple[str, str]:
    """Create an administrator once; return e-mail and password from a private file."""
    path = home / "sign-in.txt"
    tighten(path)
    if path.is_file():
        email, _, password = path.read_text().strip().partition(" ")
        return email, password
    email, password = "admin@prosa.local", secrets.token_urlsafe(9)
    subprocess.run(
        [
            *(sys.executable, "-m", "flask", "accounts", "create-admin"),
            *("--email", email, "--password", password),
        ],
        env=environment,
        cwd=config.ROOT,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    write_private_file(path, f"{email} {password}\n")
    return email, password


def _announce_when_ready(
    settings: config.Settings, environment: dict[str, str], sign_in: tuple[str, str]
) -> None:
    """Print the addresses once every process answers."""
    address = f"http://127.0.0.1:{settings.port}"
    simulator = environment.get("SIMULATOR_PORT")
    until = time.monotonic() + READY_TIMEOUT_S
    while (health := _check_ready(address, simulator, "PROSA_REDIS_SERVER" in environment)) is None:
        if time.monotonic() > until:
            print(f"Prosa did not become healthy in {READY_TIMEOUT_S} s; see above.", flush=True)
            os.kill(os.getpid(), signal.SIGTERM)
            return
        time.sleep(0.2)
    lines = ["", f"Prosa is ready: {address}", f"  sign in:  {sign_in[0]}  {sign_in[1]}"]
    if simulator:
        lines.append(f"  chat:     http://127.0.0.1:{simulator}/  (a customer's phone)")
    if health["status"] == "degraded":
        lines.append("  Redis:    away; Prosa runs without it, only slower")
    elif server := environment.get("PROSA_REDIS_SERVER"):
        lines.append(f"  Redis:    {embedded_redis.describe_server(server)}")
    lines.append("  stop:     Ctrl-C")
    print("\n".join([*lines, ""]), flush=True)


def _check_ready(address: str, simulator: str | None, has_own_redis: bool) -> dict[str, Any] | None:
    """Return the health once web, simulator and (with Redis) all workers run; None before."""
    if simulator and _get_json(f"http://127.0.0.1:{simulator}/_sim/health") is None:
        return None
    health = _get_json(f"{address}/health")
    if health is None or health["status"] == "unhealthy":
        return None
    if health["status"] == "degraded":
        return None if has_own_redis else health
    return health if set(QUEUES) <= set(health["checks"]["workers"]) else None


def _get_json(address: str) -> dict[str, Any] | None:
    try:
        with urllib.request.urlopen(address, timeout=2) as response:  # noqa: S310 - our own
            found: dict[str, Any] = json.load(response)
    except (OSError, ValueError):
        return None
    return found


if __name__ == "__main__":
    sys.exit(main())
