"""All of Prosa in real processes: web, workers, scheduler, and the simulator in place of Meta."""

from __future__ import annotations

import json
import os
import shlex
import signal
import sqlite3
import subprocess
import sys
import urllib.request
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from tests.support.fork_server import ForkedProcess, get_fork_server, run_module
from tests.support.ports import free_port, is_responding, wait_for
from tests.support.settings import environment
from workers.parent_death import die_with_parent

ROOT = Path(__file__).parents[2]
QUEUES = ("inbound", "statuses", "replies", "media", "campaigns", "maintenance")


def web_command() -> str:
    """Return the web command of the Procfile."""
    lines = (ROOT / "Procfile").read_text().splitlines()
    return next(line.removeprefix("web: ") for line in lines if line.startswith("web: "))


class Stack:
    def __init__(
        self, home: Path, database_url: str, redis_url: str | None, **changes: Any
    ) -> None:
        self.port, self.simulator_port = free_port(), free_port()
        self.home, self.database_url = home, database_url
        self.environment = {
            "PATH": os.environ["PATH"],
            **environment(
                home,
                DATABASE_URL=database_url,
                REDIS_URL=redis_url,
                PORT=self.port,
                WHATSAPP_API_URL=f"http://127.0.0.1:{self.simulator_port}/v25.0",
                SIMULATOR_PORT=self.simulator_port,
                SIMULATOR_CALLBACK_URL=f"http://127.0.0.1:{self.port}/webhooks/whatsapp",
                LOG_LEVEL="WARNING",
                **({"MESSAGES_PER_SECOND": 400, "WEB_CONCURRENCY": 1} | changes),
            ),
        }
        self.web = web_command()
        self.processes: dict[str, subprocess.Popen[bytes] | ForkedProcess] = {}
        self._log = (home / "stack.log").open("ab")

    def start(self, *names: str) -> Stack:
        """Start the named processes, or all; wait until web and simulator answer."""
        for name in names or ("simulator", "web", *QUEUES, "scheduler"):
            self.spawn(name)
        wait_for(lambda: is_responding(f"{self.address}/health"), 60)
        wait_for(lambda: is_responding(f"{self.simulator_address}/_sim/health"), 60)
        return self

    def spawn(self, name: str, clock_skew_s: float = 0) -> None:
        """Start a process of Prosa, with its clock wrong by `clock_skew_s`."""
        command = {
            "simulator": ["-m", "chatbot.simulator"],
            "web": ["-m", *shlex.split(self.web)],
            "scheduler": ["-m", "workers.scheduler"],
        }.get(name.partition("-")[0], ["-m", "workers.run", name.partition("-")[0]])
        if clock_skew_s:  # before the first import of the time, so not by fork
            command = ["-m", "tests.support.clock_skew", str(clock_skew_s), *command[1:]]
            self.processes[name] = subprocess.Popen(
                [sys.executable, *command],
                cwd=ROOT,
                env=self.environment,
                stdout=self._log,
                stderr=self._log,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
            return
        self.processes[name] = get_fork_server().spawn(
            *command[1:],
            environment=self.environment,
            stdout=self._log.fileno(),
            stderr=self._log.fileno(),
        )

    def signal(self, name: str, number: int) -> None:
        """Send a signal to the process group of a process."""
        os.killpg(self.processes[name].pid, number)

    def kill(self, name: str) -> None:
        """Kill a process and its job child processes, as if the host lost power."""
        job_pids = self.job_processes(name)
        self.signal(name, signal.SIGKILL)
        for pid in job_pids:
            send_signal(pid, signal.SIGKILL)
        self.processes.pop(name).wait()

    def job_processes(self, name: str) -> list[int]:
        """Return the pids of a worker's job child processes; RQ gives each its own group."""
        return list_children(self.processes[name].pid)

    def freeze(self, name: str) -> list[int]:
        """Send SIGSTOP to a worker and its job child process; return their pids for `thaw`.

        It never stops a process that holds SQLite's write lock, since all others would wait for it.
        """
        while True:
            pids = [self.processes[name].pid, *self.job_processes(name)]
            for pid in pids:
                send_signal(pid, signal.SIGSTOP)
            if self._may_write():
                return pids
            thaw(pids)

    def _may_write(self) -> bool:
        kind, _, path = self.database_url.partition(":///")
        if kind != "sqlite":
            return True
        try:
            with closing(sqlite3.connect(path, timeout=1)) as connection:
                connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return False
        return True

    def stop(self) -> None:
        """Kill what is left of it, which is faster than to ask ten interpreters to end."""
        running = [process.pid for process in self.processes.values() if process.poll() is None]
        for pid in (*running, *list_children(*running)):
            with suppress(ProcessLookupError):
                os.killpg(os.getpgid(pid), signal.SIGKILL)
        for process in self.processes.values():
            process.wait(60)
        self._log.close()

    def describe_processes(self) -> str:
        """Return the exit codes and the end of the log, for the report of a failed test."""
        ended = {name: process.poll() for name, process in self.processes.items()}
        log = (self.home / "stack.log").read_text(errors="replace")
        return f"{ended}\n{log[-6000:]}"

    # --- access ---

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def simulator_address(self) -> str:
        return f"http://127.0.0.1:{self.simulator_port}"

    def flask(self, *arguments: str, check: bool = True) -> str:
        return self.python("flask", *arguments, check=check)

    def python(self, module: str, *arguments: str, check: bool = True) -> str:
        """Run a module in the environment of the stack; return its output."""
        code, output, errors = run_module(module, *arguments, environment=self.environment)
        assert not check or code == 0, errors[-2000:]
        return output if code == 0 else output + errors

    def simulator(self, path: str, body: Any = None, timeout: float = 30) -> Any:
        """Call the simulator's control API: POST with a body, otherwise GET."""
        request = urllib.request.Request(
            f"{self.simulator_address}/_sim/{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=timeout) as response:
            return json.load(response)

    def send_as_customer(self, wa_id: str, text: str, name: str = "Ana") -> None:
        self.simulator("inbound", {"from": wa_id, "name": name, "type": "text", "text": text})

    def replies_to(self, wa_id: str) -> list[str]:
        """Return the texts of the messages to this customer."""
        thread = self.simulator(f"chat/{wa_id}")["messages"]
        return [_text(m) for m in thread if m["direction"] == "outbound"]

    def figures(self, campaign_id: int) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(
            self.flask("campaigns", "show", str(campaign_id), "--json")
        )
        return found


def list_children(*pids: int) -> list[int]:
    parents = ",".join(map(str, pids)) or "0"
    found = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", parents], capture_output=True, text=True, check=False
    )
    return [int(pid) for pid in found.stdout.split()]


def send_signal(pid: int, number: int) -> None:
    """Send a signal to a process that may have ended."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def thaw(pids: list[int]) -> None:
    for pid in pids:
        send_signal(pid, signal.SIGCONT)


def _text(message: dict[str, Any]) -> str:
    content = message["content"]
    kind = content.get("type")
    if kind == "text":
        return str(content["text"]["body"])
    if kind == "interactive":
        return str(content["interactive"]["body"]["text"])
    return str(message.get("rendered") or kind)
