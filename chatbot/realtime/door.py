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

from chatbot.core.hints import Kind
from chatbot.core.metrics import Metrics
from chatbot.extensions import settings_of
from chatbot.realtime.hub import MOST_SOCKETS, Hub, Socket, Topic
from chatbot.realtime.listener import Listener
from chatbot.realtime.pages import Pages, Receive, Scope, Send, make_environ
from chatbot.realtime.visitors import Visitor, find_signed_out, identify

log = logging.getLogger(__name__)

PATH = "/live"
BEAT_S = 20.0  # below the 55 s after which Heroku's router closes a silent connection
SILENCE_S = 3 * BEAT_S
CHECK_S = 20.0
UNCHECKED_S = 55.0  # sockets outlive a database that doesn't answer by no more than this
SEND_S = 10.0
LOOK_S = 0.3
MOST_TOPICS = 20
MOST_STRANGE = 1000

# Close codes, from WebSocket's range for applications where HTTP has a number for it.
GOING_AWAY = 1001
TRY_LATER = 1013
STRANGER = 4401
TOO_STRANGE = 4400


def init_realtime(app: Flask) -> None:
    """Pages are told where their socket is, if this process holds any, and what they have heard of."""

    def note_position() -> None:
        hub: Hub | None = app.extensions.get("prosa_live")
        # Before anything is read: what changes from now on, a hint beyond this position tells.
        g.live_at = hub.position if hub else None

    app.before_request_funcs.setdefault(None, []).insert(0, note_position)
    app.context_processor(_name_socket)


def _name_socket() -> dict[str, str]:
    at = g.get("live_at")
    is_served = at is not None and current_user.is_authenticated
    return {"live_path": PATH, "live_at": at} if is_served else {}


class Live:
    """Pages and sockets of one process. Made before the fork, it starts nothing until the worker's
    own loop runs; under a WSGI worker it never does, and pages poll."""

    def __init__(self, app: Flask) -> None:
        settings = settings_of(app)
        self._app = app
        self._pages = Pages(
            app.wsgi_app, threads=settings.web_threads, most_body=app.config["MAX_CONTENT_LENGTH"]
        )
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="live")
        self.hub = Hub()
        # gunicorn waits for its connections before it says that the process ends; see gunicorn.conf.py.
        self.is_ending: Callable[[], bool] = lambda: False
        self._metrics: Metrics = app.extensions["prosa_metrics"]
        self._listener: Listener | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._pages(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._answer(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._live(receive, send)

    # --- the process's life ---

    async def _live(self, receive: Receive, send: Send) -> None:
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
            asyncio.create_task(task) for task in (self._beat(), self._check(), self._make_way())
        ]

    def stop(self) -> None:
        self._app.extensions.pop("prosa_live", None)
        if self._listener is not None:
            self._listener.stop()
        for socket in self.hub.sockets:
            socket.end(GOING_AWAY)
        for task in self._tasks:
            task.cancel()

    async def _beat(self) -> None:
        told: Counter[str] = Counter()
        while True:
            await asyncio.sleep(BEAT_S)
            for event, number in (self.hub.counts - told).items():
                self._metrics.count("live", number, event=event)
            told = self.hub.counts.copy()
            self.hub.beat(time.monotonic(), SILENCE_S)

    async def _make_way(self) -> None:
        while not self.is_ending():
            await asyncio.sleep(LOOK_S)
        self.stop()

    async def _check(self) -> None:
        """An ended session's sockets are closed; all are when that can't be known for too long."""
        checked_at = time.monotonic()
        while True:
            await asyncio.sleep(CHECK_S)
            if await self.check():
                checked_at = time.monotonic()
            elif time.monotonic() - checked_at > UNCHECKED_S - CHECK_S:
                for socket in self.hub.sockets:
                    socket.end(TRY_LATER)

    async def check(self) -> bool:
        """False when the database does not answer."""
        visitors = {socket.visitor for socket in self.hub.sockets}
        try:
            gone = await self._in_thread(find_signed_out, self._app, visitors) if visitors else ()
        except SQLAlchemyError as error:
            log.warning("who is still signed in can't be known: %s", error)
            return False
        for socket in self.hub.sockets:
            if socket.visitor in gone:
                socket.end(STRANGER)
        return True

    async def _in_thread(self, function: Any, *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)

    # --- one socket ---

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        if scope["path"] != PATH or not is_from_our_page(scope):
            self.hub.counts["refused"] += 1
            await send({"type": "websocket.close"})
            return
        visitor = TRY_LATER if len(self.hub.sockets) >= MOST_SOCKETS else await self._who(scope)
        await send({"type": "websocket.accept"})
        if not isinstance(visitor, Visitor):
            await send({"type": "websocket.close", "code": visitor})
            return
        socket = Socket(visitor, topics_of(scope), time.monotonic())
        self.hub.join(socket)
        try:
            await self._hold(socket, receive, send)
        finally:
            self.hub.leave(socket)

    async def _who(self, scope: Scope) -> Visitor | int:
        """The visitor, or the code with which the socket is closed."""
        try:
            found: Visitor | None = await self._in_thread(identify, self._app, make_environ(scope))
        except SQLAlchemyError as error:
            log.warning("nobody can be let in, the database does not answer: %s", error)
            return TRY_LATER
        return found or STRANGER

    async def _hold(self, socket: Socket, receive: Receive, send: Send) -> None:
        """Until either end has enough of it."""
        work = [
            asyncio.create_task(self._write(socket, send)),
            asyncio.create_task(self._read(socket, receive)),
            asyncio.create_task(socket.ended.wait()),
        ]
        try:
            await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in work:
                task.cancel()
            await asyncio.gather(*work, return_exceptions=True)
        if socket.close_code:
            await send({"type": "websocket.close", "code": socket.close_code})

    async def _write(self, socket: Socket, send: Send) -> None:
        while True:
            text = await socket.queue.get()
            try:
                async with asyncio.timeout(SEND_S):
                    await send({"type": "websocket.send", "text": text})
            except TimeoutError:
                self.hub.counts["slow"] += 1
                return

    async def _read(self, socket: Socket, receive: Receive) -> None:
        """Pages say nothing but that they are there; whatever else comes is counted, and no more."""
        strange = 0
        while (message := await receive())["type"] != "websocket.disconnect":
            if message.get("text") == "beat":
                socket.heard_at = time.monotonic()
                continue
            self.hub.counts["strange"] += 1
            strange += 1
            if strange >= MOST_STRANGE:
                socket.end(TOO_STRANGE)
                return


def is_from_our_page(scope: Scope) -> bool:
    """A browser says which page opens a socket; another site's must not do it with our cookie."""
    headers = dict(scope["headers"])
    origin = headers.get(b"origin", b"").decode("latin-1")
    host = headers.get(b"host", b"").decode("latin-1")
    try:
        return bool(host) and urlsplit(origin).netloc == host
    except ValueError:
        return False


def topics_of(scope: Scope) -> Iterator[Topic]:
    """`?watch=conversation:12&watch=health`; what is no topic is left out."""
    pairs = parse_qsl(scope["query_string"].decode("latin-1"))
    for name, value in pairs[:MOST_TOPICS]:
        kind, _, number = value.partition(":")
        is_number = number.isascii() and number.isdigit() and len(number) < 19
        if name == "watch" and kind in set(Kind) and (is_number or not number):
            yield Kind(kind), int(number) if number else None
