"""Counts of round trips to Redis, taken on the connection, and of SQL statements."""

from __future__ import annotations

import os
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import event


class RedisProxy:
    """Proxy in front of a Redis socket that counts round trips. A pipeline counts as one."""

    def __init__(self, url: str) -> None:
        who, _, path = url.removeprefix("unix://").rpartition("@")
        self._target = path
        self._path = Path(tempfile.mkdtemp(prefix="prosa-proxy-")) / "w.sock"
        # A time-out on a busy machine would look like an outage.
        self.url = f"unix://{who}@{self._path}?socket_timeout=5&socket_connect_timeout=5"
        self.round_trips = 0
        self._lock = threading.Lock()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self._path))
        self._listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            server.connect(self._target)
            asking = threading.Event()
            for source, sink, is_question in ((client, server, True), (server, client, False)):
                threading.Thread(
                    target=self._pump, args=(source, sink, asking, is_question), daemon=True
                ).start()

    def _pump(
        self, source: socket.socket, sink: socket.socket, asking: threading.Event, question: bool
    ) -> None:
        with suppress(OSError):
            while chunk := source.recv(65536):
                if not question:
                    asking.clear()
                elif not asking.is_set():
                    asking.set()
                    with self._lock:
                        self.round_trips += 1
                sink.sendall(chunk)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._listener.close()
        with suppress(OSError):
            os.unlink(self._path)

    @contextmanager
    def count_round_trips(self) -> Iterator[CallCount]:
        """Count the round trips made inside; open the connection before, or its handshake counts."""
        count, before = CallCount(), self.round_trips
        yield count
        count.number = self.round_trips - before


class CallCount:
    """Number of calls, and for SQL the statements in order."""

    def __init__(self) -> None:
        self.number = 0
        self.statements: list[str] = []

    @property
    def writes(self) -> int:
        return sum(s.lstrip("( ").split(None, 1)[0] != "SELECT" for s in self.statements)


@contextmanager
def count_sql(engine: sa.Engine) -> Iterator[CallCount]:
    """Count the statements sent inside, without BEGIN and COMMIT."""
    count = CallCount()

    def record(_c: object, _cursor: object, statement: str, *_rest: object) -> None:
        if not statement.startswith(("BEGIN", "PRAGMA")):
            count.statements.append(" ".join(statement.split()))

    event.listen(engine, "before_cursor_execute", record)
    try:
        yield count
    finally:
        event.remove(engine, "before_cursor_execute", record)
        count.number = len(count.statements)
