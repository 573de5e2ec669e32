"""What a piece of code costs: round trips to Redis, counted on the wire, and SQL statements."""

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
    """A proxy before a Redis socket. A round trip is an exchange: something is asked, then answered;
    commands that leave together in a pipeline are one."""

    def __init__(self, url: str) -> None:
        who, _, path = url.removeprefix("unix://").rpartition("@")
        self._target = path
        self._path = Path(tempfile.mkdtemp(prefix="prosa-wire-")) / "w.sock"
        # A loaded machine must not look like an outage while we count.
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
        """The round trips made inside; let the connection be open before, or its handshake counts."""
        count, before = CallCount(), self.round_trips
        yield count
        count.number = self.round_trips - before


class CallCount:
    """How many, and of SQL what: the statements in their order."""

    def __init__(self) -> None:
        self.number = 0
        self.statements: list[str] = []

    @property
    def writes(self) -> int:
        return sum(s.lstrip("( ").split(None, 1)[0] != "SELECT" for s in self.statements)


@contextmanager
def count_sql(engine: sa.Engine) -> Iterator[CallCount]:
    """The statements sent inside, without BEGIN and COMMIT."""
    count = CallCount()

    def note(_c: object, _cursor: object, statement: str, *_rest: object) -> None:
        if not statement.startswith(("BEGIN", "PRAGMA")):
            count.statements.append(" ".join(statement.split()))

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield count
    finally:
        event.remove(engine, "before_cursor_execute", note)
        count.number = len(count.statements)
