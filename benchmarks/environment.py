"""Simulator, and processes of a benchmark with the same environment variables."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from chatbot.core.redis.keys import RQ_PREFIX
from tests.support.ports import free_port, is_responding, wait_for
from tests.support.settings import environment
from workers.parent_death import die_with_parent

ROOT = Path(__file__).parents[1]


class BenchmarkEnvironment:
    def __init__(
        self, home: Path, redis_url: str, database_url: str | None, **changes: Any
    ) -> None:
        self._port = free_port()
        self._environment = {
            "PATH": os.environ["PATH"],
            "RQ_KEY_PREFIX": RQ_PREFIX,  # rq reads it at import
            **environment(
                home,
                DATABASE_URL=database_url or f"sqlite:///{home / 'bench.db'}",
                REDIS_URL=redis_url,
                WHATSAPP_API_URL=f"http://127.0.0.1:{self._port}/v25.0",
                SIMULATOR_PORT=self._port,
                SIMULATOR_CALLBACK_URL="http://127.0.0.1:9/nobody",
                SIMULATOR_SETTINGS='{"statuses": false}',
                LOG_LEVEL="WARNING",
                **changes,
            ),
        }
        self._simulator = self.spawn("chatbot.simulator")
        wait_for(lambda: is_responding(f"http://127.0.0.1:{self._port}/_sim/health"), 60)
        subprocess.run(
            [sys.executable, "-m", "flask", "db", "upgrade"],
            env=self._environment, cwd=ROOT, check=True, capture_output=True,
        )  # fmt: skip

    def spawn(self, module: str, *arguments: str, out: Any = subprocess.DEVNULL) -> Any:
        return subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=ROOT,
            env=self._environment,
            stdout=out,
            preexec_fn=die_with_parent,
        )

    @contextmanager
    def pin_simulator_core(self) -> Iterator[None]:
        """Keep the simulator on one core and the senders on the others.

        Otherwise the kernel sometimes runs both on one core while another is idle.
        """
        cores = os.sched_getaffinity(0)
        if len(cores) == 1:
            yield
            return
        last = max(cores)
        os.sched_setaffinity(self._simulator.pid, {last})
        os.sched_setaffinity(0, cores - {last})  # inherited by the senders
        try:
            yield
        finally:
            os.sched_setaffinity(self._simulator.pid, cores)
            os.sched_setaffinity(0, cores)

    def close(self) -> None:
        self._simulator.terminate()
        self._simulator.wait()

    def reset_simulator(self, latency_ms: int) -> None:
        """Reset the simulator and set its latency."""
        self._post("reset", {"keep_settings": False})
        self._post("settings", {"latency_ms": latency_ms})

    def _post(self, path: str, body: dict[str, Any]) -> None:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self._port}/_sim/{path}",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        urllib.request.urlopen(request, timeout=30).close()

    def run(self, sender: str, messages: int) -> dict[str, Any] | None:
        """Run one sender and return its figures, or None if it is not installed."""
        return self._result(self._start(sender, messages))

    def run_together(self, sender: str, messages: int, count: int, at_once: int) -> float:
        """Run `count` processes on one campaign; return the messages per second of all together."""
        self._result(self._start(sender, messages, "--only-prepare"))
        begin = time.time() + 8  # all have started by then
        processes = [
            self._start(
                sender, messages, "--prepared", "--begin-at", str(begin), "--at-once", str(at_once)
            )
            for _ in range(count)
        ]
        results = [self._result(process) for process in processes]
        sent = sum(result["messages"] for result in results if result)
        assert sent == messages, f"{sent} of {messages}"
        return messages / max(result["wall_s"] for result in results if result)

    def _start(self, sender: str, messages: int, *more: str) -> Any:
        return self.spawn("benchmarks.senders", sender, str(messages), *more, out=subprocess.PIPE)

    @staticmethod
    def _result(process: Any) -> dict[str, Any] | None:
        output, _ = process.communicate(timeout=600)
        if process.returncode:
            raise RuntimeError("a sender failed, see above")
        found: dict[str, Any] | None = json.loads(output)
        return found
