"""Bounds for connections of gunicorn's `asgi` worker whose next request has not arrived whole.

The worker itself has no limit of connections and no time limit for headers, so idle half-requests would use
up all file descriptors. Connections that are being served, and WebSockets, are never counted nor closed here.
"""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from gunicorn.asgi.protocol import ASGIProtocol
from gunicorn.workers import gasgi

from chatbot.realtime.file_limits import count_waiting_connections
from config import Settings

BODY_TIMEOUT_S = 300.0  # 20 MB over a slow line
SWEEP_S = 1.0


class Droppable(Protocol):
    def drop(self) -> None: ...


class WaitingConnections:
    """Connections that wait for the rest of a request, each group with the oldest first."""

    def __init__(self, max_waiting: int, header_timeout_s: float) -> None:
        self.max_waiting = max_waiting
        self._header_timeout_s = header_timeout_s
        self._headers: dict[Droppable, float] = {}
        self._bodies: dict[Droppable, float] = {}

    def __len__(self) -> int:
        return len(self._headers) + len(self._bodies)

    def wait_for_headers(self, connection: Droppable, now: float) -> None:
        """Add a connection, and drop the oldest one if there are too many: real requests take moments."""
        self.remove(connection)
        self._headers[connection] = now
        while len(self) > self.max_waiting:
            self._drop(next(iter(self._headers)))

    def wait_for_body(self, connection: Droppable, now: float) -> None:
        self.remove(connection)
        self._bodies[connection] = now
        while len(self) > self.max_waiting:
            self._drop(next(iter(self._headers or self._bodies)))

    def remove(self, connection: Droppable) -> None:
        self._headers.pop(connection, None)
        self._bodies.pop(connection, None)

    def drop_overdue(self, now: float) -> None:
        for group, timeout_s in (
            (self._headers, self._header_timeout_s),
            (self._bodies, BODY_TIMEOUT_S),
        ):
            overdue = [each for each, since in group.items() if now - since > timeout_s]
            for connection in overdue:
                self._drop(connection)

    def _drop(self, connection: Droppable) -> None:
        self.remove(connection)
        connection.drop()


class BoundedProtocol(ASGIProtocol):
    """Connection that reports what it waits for. `tests/realtime/test_connections.py` checks the hooks."""

    waiting: WaitingConnections

    def connection_made(self, transport: Any) -> None:
        self._wait_for_headers()
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.waiting.remove(self)
        super().connection_lost(exc)

    def drop(self) -> None:
        self.transport.abort()
        if self._request_ready is not None:
            self._request_ready.set()  # ends the task that waits for the request

    def _wait_for_headers(self) -> None:
        self.waiting.wait_for_headers(self, self.worker.loop.time())

    def _on_headers_complete(self) -> Any:
        self.waiting.wait_for_body(self, self.worker.loop.time())
        return super()._on_headers_complete()

    def _on_message_complete(self) -> None:
        self.waiting.remove(self)
        super()._on_message_complete()

    def _arm_keepalive_timer(self) -> None:
        self._wait_for_headers()
        super()._arm_keepalive_timer()


def bound_connections(worker: Any, settings: Settings) -> type[BoundedProtocol]:
    """Let the worker serve connections within the bounds. Called before it starts to listen."""
    waiting = WaitingConnections(count_waiting_connections(settings), settings.header_timeout_s)
    bounded = type("BoundedProtocol", (BoundedProtocol,), {"waiting": waiting})
    gasgi.ASGIProtocol = bounded  # the worker has no setting for its protocol
    _sweep(worker.loop, waiting)
    return bounded


def _sweep(loop: asyncio.AbstractEventLoop, waiting: WaitingConnections) -> None:
    waiting.drop_overdue(loop.time())
    loop.call_later(SWEEP_S, _sweep, loop, waiting)
