"""`make run` as a newcomer sees it: ready when it says so, all gone after Ctrl-C, data kept."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.permissions import list_open_paths
from tests.support.ports import free_port, wait_for
from tests.support.stack import ROOT

pytestmark = pytest.mark.flow

Launcher = Callable[..., "Run"]


class Run:
    def __init__(self, home: Path, **changes: str) -> None:
        self.port, self.simulator_port = free_port(), free_port()
        self.output = home.parent / "output.txt"
        environment = {
            "PATH": os.environ["PATH"],
            "PROSA_HOME": str(home),
            "PORT": str(self.port),
            "SIMULATOR_PORT": str(self.simulator_port),
            **changes,
        }
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "workers.launch"],
                cwd=ROOT,
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                umask=0,
            )

    def text(self) -> str:
        return self.output.read_text("utf-8", "replace")

    def wait_until_ready(self) -> str:
        wait_for(lambda: "Prosa is ready" in self.text() or self.process.poll() is not None, 90)
        return self.text()

    def health(self) -> dict[str, object]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=5) as response:
            found: dict[str, object] = json.load(response)
        return found

    def children(self) -> list[str]:
        """Processes that carry our port or home in their environment."""
        mark = f"PORT={self.port}\0".encode()
        found = []
        for path in Path("/proc").glob("[0-9]*/environ"):
            try:
                if mark in path.read_bytes() and int(path.parent.name) != self.process.pid:
                    found.append((path.parent / "cmdline").read_text().replace("\0", " "))
            except OSError:
                continue
        return found


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Launcher]:
    runs: list[Run] = []

    def start(**changes: str) -> Run:
        runs.append(Run(tmp_path / "home", **changes))
        return runs[-1]

    yield start
    for run in runs:
        if run.process.poll() is None:
            run.process.send_signal(signal.SIGINT)
            run.process.wait(20)


def test_it_prints_its_addresses_restarts_a_worker_and_stops_every_process(
    launch: Launcher, tmp_path: Path
) -> None:
    run = launch()
    text = run.wait_until_ready()
    assert f"Prosa is ready: http://127.0.0.1:{run.port}" in text
    assert f"chat:     http://127.0.0.1:{run.simulator_port}/" in text
    assert re.search(r"Redis:    (Redis|Valkey) \d+\.\d+\.\d+ \(/", text)
    assert re.search(r"sign in:  admin@prosa\.local  \S{10,}", text)
    assert run.health()["status"] == "healthy"
    assert list_open_paths(tmp_path / "home") == []  # though it was started with a umask of 0
    started = re.search(r"inbound started \(pid=(\d+)\)", text)
    assert started
    os.kill(int(started[1]), signal.SIGKILL)
    wait_for(lambda: run.text().count("inbound started") > 1, 30)
    assert run.process.poll() is None
    run.process.send_signal(signal.SIGINT)
    assert run.process.wait(30) == 0
    wait_for(lambda: not run.children(), 20)

    again = launch(REDIS_ENABLED="false")
    second = again.wait_until_ready()
    assert "runs without it" in second
    assert again.health()["status"] == "degraded"
    sign_in = re.compile(r"sign in:  (.*)")
    assert sign_in.search(second)[1] == sign_in.search(text)[1]  # type: ignore[index]
    kill_supervisor(again)


def kill_supervisor(run: Run) -> None:
    assert len(run.children()) > 8
    run.process.kill()
    run.process.wait()
    wait_for(lambda: not run.children(), 20)


@pytest.mark.slow  # the test above kills the supervisor of everything but Redis
def test_redis_ends_when_the_supervisor_is_killed(launch: Launcher) -> None:
    run = launch()
    run.wait_until_ready()
    assert any("-server" in command for command in run.children())
    kill_supervisor(run)


def test_a_wrong_setting_ends_it_with_a_sentence(launch: Launcher) -> None:
    run = launch(REDIS_URL="localhost:6379")
    assert run.process.wait(30) == 1
    assert "REDIS_URL must look like redis://" in run.text()
