"""WebSocket endpoint: an ASGI application of pages and live events, for gunicorn's `asgi` worker."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from flask import Flask, g
from flask_login import current_user
from sqlalchemy.exc import SQLAlchemyError

from chatbot.core.live_events import LiveEventKind
from chatbot.core.metrics import Metrics
from chatbot.extensions import get_settings
from chatbot.realtime.clients import ConnectedClient, find_signed_out, identify_client
from chatbot.realtime.file_limits import count_possible_sockets
from chatbot.realtime.hub import MAX_SOCKETS, ClientSocket, Hub, Topic
from chatbot.realtime.listener import Listener
from chatbot.realtime.socket_limits import SocketLimits
from chatbot.realtime.wsgi_bridge import Receive, Scope, Send, WsgiBridge, make_environ

log = logging.getLogger(__name__)

WEBSOCKET_PATH = "/live"
HEARTBEAT_S = 20.0  # Heroku's router closes a connection after 55 s of silence
SILENCE_TIMEOUT_S = 3 * HEARTBEAT_S
SESSION_CHECK_S = 20.0
MAX_UNCHECKED_S = 55.0  # sockets are closed if sessions can't be checked for so long
SEND_TIMEOUT_S = 10.0
SHUTDOWN_POLL_S = 0.3
MAX_TOPICS = 20
MAX_UNKNOWN_MESSAGES = 1000
MIN_HEARTBEAT_GAP_S = 1.0

# Close codes of RFC 6455; 4400 and 4401 are in its private range, after HTTP's 400 and 401.
CLOSE_GOING_AWAY = 1001
CLOSE_TRY_AGAIN_LATER = 1013
CLOSE_UNAUTHENTICATED = 4401
CLOSE_PROTOCOL_ABUSE = 4400


def init_realtime(app: Flask) -> None:
    """Give pages the address of the WebSocket and their position, if this process serves sockets."""

    def record_position() -> None:
        hub: Hub | None = app.extensions.get("prosa_live")
        # Recorded before the page reads data: later changes publish events beyond this position.
        g.live_position = hub.position if hub else None

    app.before_request_funcs.setdefault(None, []).insert(0, record_position)
    app.context_processor(_socket_context)


def _socket_context() -> dict[str, str]:
    at = g.get("live_position")
    is_served = at is not None and current_user.is_authenticated
    return {"live_path": WEBSOCKET_PATH, "live_position": at} if is_served else {}


class LiveApp:
    """ASGI application for the pages and sockets of one process.

    It is created before the fork and starts nothing until the worker's event loop runs. Under a WSGI
    worker it never starts, and pages poll.
    """

    def __init__(self, app: Flask) -> None:
        settings = get_settings(app)
        self._app = app
        self._wsgi_bridge = WsgiBridge(
            app.wsgi_app, threads=settings.web_threads, max_body=app.config["MAX_CONTENT_LENGTH"]
        )
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="live")
        self.hub = Hub()
        self._limits = SocketLimits(settings, app.config["SESSION_COOKIE_NAME"])
        self._max_sockets = count_possible_sockets(settings, MAX_SOCKETS)
        # gunicorn sends lifespan.shutdown only after connections are closed; gunicorn.conf.py sets this.
        self.is_shutting_down: Callable[[], bool] = lambda: False
        self._metrics: Metrics = app.extensions["prosa_metrics"]
        self._listener: Listener | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._wsgi_bridge(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._serve_within_limits(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._serve_lifespan(receive, send)

    # --- lifespan ---

    async def _serve_lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        self.start()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self.stop()
        await send({"type": "lifespan.shutdown.complete"})

    def start(self) -> None:
        redis = self._app.extensions["prosa_redis"]
        if redis.url is None:
            return  # configured without Redis: pages poll
        self._app.extensions["prosa_live"] = self.hub
        self._listener = Listener(redis, self.hub, asyncio.get_running_loop())
        self._listener.start()
        self._tasks = [
            asyncio.create_task(task)
            for task in (
                self._run_heartbeat(),
                self._run_session_checks(),
                self._close_on_shutdown(),
            )
        ]

    def stop(self) -> None:
        self._app.extensions.pop("prosa_live", None)
        if self._listener is not None:
            self._listener.stop()
        for socket in self.hub.sockets:
            socket.close(CLOSE_GOING_AWAY)
        for task in self._tasks:
            task.cancel()

    async def _run_heartbeat(self) -> None:
        reported: Counter[str] = Counter()
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            for event, number in (self.hub.counts - reported).items():
                self._metrics.count("live", number, event=event)
            reported = self.hub.counts.copy()
            self.hub.send_heartbeat(time.monotonic(), SILENCE_TIMEOUT_S)

    async def _close_on_shutdown(self) -> None:
        while not self.is_shutting_down():
            await asyncio.sleep(SHUTDOWN_POLL_S)
        self.stop()

    async def _run_session_checks(self) -> None:
        """Close sockets of ended sessions; close all if sessions can't be checked for MAX_UNCHECKED_S."""
        checked_at = time.monotonic()
        while True:
            await asyncio.sleep(SESSION_CHECK_S)
            if await self.check_sessions():
                checked_at = time.monotonic()
            elif time.monotonic() - checked_at > MAX_UNCHECKED_S - SESSION_CHECK_S:
                for socket in self.hub.sockets:
                    socket.close(CLOSE_TRY_AGAIN_LATER)

    async def check_sessions(self) -> bool:
        """Close sockets of ended sessions; return False if the database does not answer."""
        clients = {socket.client for socket in self.hub.sockets}
        try:
            ended = await self._in_thread(find_signed_out, self._app, clients) if clients else ()
        except SQLAlchemyError as error:
            log.warning("sessions of live pages can't be checked: %s", error)
            return False
        for socket in self.hub.sockets:
            if socket.client in ended:
                socket.close(CLOSE_UNAUTHENTICATED)
        return True

    async def _in_thread(self, function: Any, *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)

    # --- one socket ---

    async def _serve_within_limits(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a socket, or refuse it before its session is looked up."""
        with self._limits.admit(make_environ(scope), time.monotonic()) as is_admitted:
            if is_admitted:
                await self._serve_socket(scope, receive, send)
                return
        self.hub.counts["limited"] += 1
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "code": CLOSE_TRY_AGAIN_LATER})

    async def _serve_socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        if scope["path"] != WEBSOCKET_PATH or not is_same_origin(scope):
            self.hub.counts["refused"] += 1
            await send({"type": "websocket.close"})
            return
        client = (
            CLOSE_TRY_AGAIN_LATER
            if len(self.hub.sockets) >= self._max_sockets
            else await self._authenticate(scope)
        )
        await send({"type": "websocket.accept"})
        if not isinstance(client, ConnectedClient):
            await send({"type": "websocket.close", "code": client})
            return
        socket = ClientSocket(client, parse_topics(scope), time.monotonic())
        self.hub.add(socket)
        try:
            await self._relay(socket, receive, send)
        finally:
            self.hub.remove(socket)

    async def _authenticate(self, scope: Scope) -> ConnectedClient | int:
        """Return the client, or the code to close the socket with."""
        try:
            found: ConnectedClient | None = await self._in_thread(
                identify_client, self._app, make_environ(scope)
            )
        except SQLAlchemyError as error:
            log.warning("live page refused, the database does not answer: %s", error)
            return CLOSE_TRY_AGAIN_LATER
        return found or CLOSE_UNAUTHENTICATED

    async def _relay(self, socket: ClientSocket, receive: Receive, send: Send) -> None:
        """Relay messages until either side closes."""
        tasks = [
            asyncio.create_task(self._write(socket, send)),
            asyncio.create_task(self._read(socket, receive)),
            asyncio.create_task(socket.closed.wait()),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if socket.close_code:
            await send({"type": "websocket.close", "code": socket.close_code})

    async def _write(self, socket: ClientSocket, send: Send) -> None:
        while True:
            text = await socket.queue.get()
            try:
                async with asyncio.timeout(SEND_TIMEOUT_S):
                    await send({"type": "websocket.send", "text": text})
            except TimeoutError:
                self.hub.counts["slow"] += 1
                return

    async def _read(self, socket: ClientSocket, receive: Receive) -> None:
        """Record heartbeats of the page; count other messages, and close the socket after too many.

        Heartbeats beyond what a page sends count as unknown messages.
        """
        unknown_count = 0
        allowed_at = 0.0
        while (message := await receive())["type"] != "websocket.disconnect":
            now = time.monotonic()
            if message.get("text") == "beat" and now >= allowed_at:
                socket.last_heard_at, allowed_at = now, now + MIN_HEARTBEAT_GAP_S
                continue
            self.hub.counts["strange"] += 1
            unknown_count += 1
            if unknown_count >= MAX_UNKNOWN_MESSAGES:
                socket.close(CLOSE_PROTOCOL_ABUSE)
                return


def is_same_origin(scope: Scope) -> bool:
    """Return whether the socket is opened by our own page, against cross-site WebSocket hijacking."""
    headers = dict(scope["headers"])
    origin = headers.get(b"origin", b"").decode("latin-1")
    host = headers.get(b"host", b"").decode("latin-1")
    try:
        return bool(host) and urlsplit(origin).netloc == host
    except ValueError:
        return False


def parse_topics(scope: Scope) -> Iterator[Topic]:
    """Yield the topics of `?watch=conversation:12&watch=health`; skip invalid ones."""
    pairs = parse_qsl(scope["query_string"].decode("latin-1"))
    for name, value in pairs[:MAX_TOPICS]:
        kind, _, number = value.partition(":")
        is_number = number.isascii() and number.isdigit() and len(number) < 19
        if name == "watch" and kind in set(LiveEventKind) and (is_number or not number):
            yield LiveEventKind(kind), int(number) if number else None
