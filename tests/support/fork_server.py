"""Start Python modules by fork from a process that has imported Prosa already.

A process started from nothing spends more than a second on imports, and a test with a whole stack starts
ten. tests/flows/test_launch.py starts them as in production.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import pkgutil
import runpy
import signal
import socket
import subprocess
import sys
import threading
import time
from functools import cache
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from flask import Flask
from jinja2 import FileSystemBytecodeCache

from workers.parent_death import die_with_parent

ROOT = Path(__file__).parents[2]
# gunicorn and Flask are run as modules; importing wsgi would make an application.
ALSO_IMPORTED = ("gunicorn.app.wsgiapp", "gunicorn.workers.gthread", "flask.cli", "asyncio")
MAX_REQUEST = 200_000


class ForkedProcess:
    """Process with the part of `subprocess.Popen` that tests use."""

    def __init__(self, server: ForkServer, pid: int) -> None:
        self._server, self.pid = server, pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = self._server.poll(self.pid)
        return self.returncode

    def wait(self, timeout: float = 60) -> int:
        until = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > until:
                raise subprocess.TimeoutExpired(str(self.pid), timeout)
            time.sleep(0.01)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class ForkServer:
    """Client of the process; its children end with it, and it ends with the test process."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.fork_server", str(theirs.fileno())],
            cwd=ROOT,
            pass_fds=[theirs.fileno()],
            preexec_fn=die_with_parent,
        )
        theirs.close()
        atexit.register(self.close)

    def spawn(
        self, *arguments: str, environment: dict[str, str], stdout: int, stderr: int
    ) -> ForkedProcess:
        """Run a module as `python -m` would, in a session of its own."""
        request = {"arguments": arguments, "environment": environment}
        return ForkedProcess(self, self._ask(request, [stdout, stderr]))

    def poll(self, pid: int) -> int | None:
        found: int | None = self._ask({"poll": pid}, [])
        return found

    def close(self) -> None:
        self._socket.close()
        self._process.wait()

    def _ask(self, request: dict[str, Any], descriptors: list[int]) -> Any:
        with self._lock:
            socket.send_fds(self._socket, [json.dumps(request).encode()], descriptors)
            return json.loads(self._socket.recv(MAX_REQUEST))


@cache
def get_fork_server() -> ForkServer:
    """Return this process's server, started at the first call."""
    return ForkServer()


def run_module(module: str, *arguments: str, environment: dict[str, str]) -> tuple[int, str, str]:
    """Run a module to its end. Return its exit code, its output and its errors."""
    with TemporaryFile("w+") as stdout, TemporaryFile("w+") as stderr:
        process = get_fork_server().spawn(
            module,
            *arguments,
            environment=environment,
            stdout=stdout.fileno(),
            stderr=stderr.fileno(),
        )
        code = process.wait(120)
        output, errors = (file.seek(0) or file.read() for file in (stdout, stderr))
    return code, output, errors


def serve(channel: socket.socket) -> list[str]:
    """Answer requests until the client is gone. Return, in a child, the module and its arguments."""
    while True:
        raw, descriptors, _, _ = socket.recv_fds(channel, MAX_REQUEST, 2)
        if not raw:
            sys.exit()
        request = json.loads(raw)
        if "poll" in request:
            pid, status = os.waitpid(request["poll"], os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if pid else None
            channel.send(json.dumps(answer).encode())
            continue
        ready, in_child = os.pipe()
        if pid := os.fork():
            os.close(in_child)
            os.read(ready, 1)  # until the child has its own session
            for descriptor in (ready, *descriptors):
                os.close(descriptor)
            channel.send(json.dumps(pid).encode())
            continue
        channel.close()
        os.setsid()
        die_with_parent()
        for number, descriptor in enumerate(descriptors, start=1):
            os.dup2(descriptor, number)
        for descriptor in (ready, in_child, *descriptors):
            os.close(descriptor)
        os.environ.clear()
        os.environ.update(request["environment"])
        arguments: list[str] = request["arguments"]
        return arguments


def import_prosa() -> None:
    import chatbot

    for package in (chatbot, import_module("workers")):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__"):
                import_module(module.name)
    for name in ALSO_IMPORTED:
        import_module(name)
    Flask.jinja_options = {"bytecode_cache": FileSystemBytecodeCache()}
    gc.freeze()  # the children share these objects as long as no collection touches them


if __name__ == "__main__":
    import_prosa()
    sys.argv = serve(socket.socket(fileno=int(sys.argv[1])))
    sys.modules.pop(sys.argv[0], None)  # run it anew, as a program
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
