"""Where sockets come in: an ASGI application of pages and live hints, for gunicorn's `asgi` worker."""

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
from chatbot.realtime.hub import MAX_SOCKETS, ClientSocket, Hub, Topic
from chatbot.realtime.listener import Listener
from chatbot.realtime.wsgi_bridge import Receive, Scope, Send, WsgiBridge, make_environ

log = logging.getLogger(__name__)

WEBSOCKET_PATH = "/live"
HEARTBEAT_S = 20.0  # below the 55 s after which Heroku's router closes a silent connection
SILENCE_TIMEOUT_S = 3 * HEARTBEAT_S
SESSION_CHECK_S = 20.0
MAX_UNCHECKED_S = 55.0  # sockets outlive a database that doesn't answer by no more than this
SEND_TIMEOUT_S = 10.0
SHUTDOWN_POLL_S = 0.3
MAX_TOPICS = 20
MAX_UNKNOWN_MESSAGES = 1000

# Close codes, from WebSocket's range for applications where HTTP has a number for it.
CLOSE_GOING_AWAY = 1001
CLOSE_TRY_AGAIN_LATER = 1013
CLOSE_UNAUTHENTICATED = 4401
CLOSE_PROTOCOL_ABUSE = 4400


def init_realtime(app: Flask) -> None:
    """Pages are told where their socket is, if this process holds any, and what they have heard of."""

    def record_position() -> None:
        hub: Hub | None = app.extensions.get("prosa_live")
        # Before anything is read: what changes from now on, a hint beyond this position tells.
        g.live_position = hub.position if hub else None

    app.before_request_funcs.setdefault(None, []).insert(0, record_position)
    app.context_processor(_socket_context)


def _socket_context() -> dict[str, str]:
    at = g.get("live_position")
    is_served = at is not None and current_user.is_authenticated
    return {"live_path": WEBSOCKET_PATH, "live_position": at} if is_served else {}


class LiveApp:
    """Pages and sockets of one process. Made before the fork, it starts nothing until the worker's
    own loop runs; under a WSGI worker it never does, and pages poll."""

    def __init__(self, app: Flask) -> None:
        settings = get_settings(app)
        self._app = app
        self._wsgi_bridge = WsgiBridge(
            app.wsgi_app, threads=settings.web_threads, max_body=app.config["MAX_CONTENT_LENGTH"]
        )
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="live")
        self.hub = Hub()
        # gunicorn waits for its connections before it says that the process ends; see gunicorn.conf.py.
        self.is_shutting_down: Callable[[], bool] = lambda: False
        self._metrics: Metrics = app.extensions["prosa_metrics"]
        self._listener: Listener | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._wsgi_bridge(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._serve_socket(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._serve_lifespan(receive, send)

    # --- the process's life ---

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
            return  # on purpose without Redis: no page is told of sockets
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
        """An ended session's sockets are closed; all are when that can't be known for too long."""
        checked_at = time.monotonic()
        while True:
            await asyncio.sleep(SESSION_CHECK_S)
            if await self.check_sessions():
                checked_at = time.monotonic()
            elif time.monotonic() - checked_at > MAX_UNCHECKED_S - SESSION_CHECK_S:
                for socket in self.hub.sockets:
                    socket.close(CLOSE_TRY_AGAIN_LATER)

    async def check_sessions(self) -> bool:
        """False when the database does not answer."""
        visitors = {socket.client for socket in self.hub.sockets}
        try:
            gone = await self._in_thread(find_signed_out, self._app, visitors) if visitors else ()
        except SQLAlchemyError as error:
            log.warning("who is still signed in can't be known: %s", error)
            return False
        for socket in self.hub.sockets:
            if socket.client in gone:
                socket.close(CLOSE_UNAUTHENTICATED)
        return True

    async def _in_thread(self, function: Any, *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)

    # --- one socket ---

    async def _serve_socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        if scope["path"] != WEBSOCKET_PATH or not is_same_origin(scope):
            self.hub.counts["refused"] += 1
            await send({"type": "websocket.close"})
            return
        client = (
            CLOSE_TRY_AGAIN_LATER
            if len(self.hub.sockets) >= MAX_SOCKETS
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
        """The visitor, or the code with which the socket is closed."""
        try:
            found: ConnectedClient | None = await self._in_thread(
                identify_client, self._app, make_environ(scope)
            )
        except SQLAlchemyError as error:
            log.warning("nobody can be let in, the database does not answer: %s", error)
            return CLOSE_TRY_AGAIN_LATER
        return found or CLOSE_UNAUTHENTICATED

    async def _relay(self, socket: ClientSocket, receive: Receive, send: Send) -> None:
        """Until either end has enough of it."""
        work = [
            asyncio.create_task(self._write(socket, send)),
            asyncio.create_task(self._read(socket, receive)),
            asyncio.create_task(socket.closed.wait()),
        ]
        try:
            await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in work:
                task.cancel()
            await asyncio.gather(*work, return_exceptions=True)
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
        """Pages say nothing but that they are there; whatever else comes is counted, and no more."""
        unknown_count = 0
        while (message := await receive())["type"] != "websocket.disconnect":
            if message.get("text") == "beat":
                socket.last_heard_at = time.monotonic()
                continue
            self.hub.counts["strange"] += 1
            unknown_count += 1
            if unknown_count >= MAX_UNKNOWN_MESSAGES:
                socket.close(CLOSE_PROTOCOL_ABUSE)
                return


def is_same_origin(scope: Scope) -> bool:
    """A browser says which page opens a socket; another site's must not do it with our cookie."""
    headers = dict(scope["headers"])
    origin = headers.get(b"origin", b"").decode("latin-1")
    host = headers.get(b"host", b"").decode("latin-1")
    try:
        return bool(host) and urlsplit(origin).netloc == host
    except ValueError:
        return False


def parse_topics(scope: Scope) -> Iterator[Topic]:
    """`?watch=conversation:12&watch=health`; what is no topic is left out."""
    pairs = parse_qsl(scope["query_string"].decode("latin-1"))
    for name, value in pairs[:MAX_TOPICS]:
        kind, _, number = value.partition(":")
        is_number = number.isascii() and number.isdigit() and len(number) < 19
        if name == "watch" and kind in set(LiveEventKind) and (is_number or not number):
            yield LiveEventKind(kind), int(number) if number else None
