"""Clients of an ASGI application without a server between."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from flask import Flask

from chatbot.core.db import db
from chatbot.realtime.websocket import WEBSOCKET_PATH, LiveApp
from tests.support.clients import PanelClient

PATIENCE_S = 10.0


def make_scope(kind: str, path: str, query: str = "", **headers: str) -> dict[str, Any]:
    return {
        "type": kind,
        "http_version": "1.1",
        "method": "GET",
        "scheme": "ws" if kind == "websocket" else "http",
        "path": path,
        "query_string": query.encode("latin-1"),
        "server": ("panel.test", 80),
        "client": ("127.0.0.1", 1234),
        "headers": [
            (name.replace("_", "-").encode(), value.encode("latin-1"))
            for name, value in ({"host": "panel.test"} | headers).items()
        ],
    }


class LiveSocketClient:
    """WebSocket of a page. `received` has its events; with `is_stuck` the page reads no more."""

    def __init__(self, live: Any, watch: str = "", cookie: str = "", **headers: str) -> None:
        query = "&".join(f"watch={kind}" for kind in watch.split())
        headers = {"origin": "http://panel.test", "cookie": f"prosa={cookie}"} | headers
        self._inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._inbox.put_nowait({"type": "websocket.connect"})
        self._changed = asyncio.Event()
        self.received: list[dict[str, Any]] = []
        self.is_open = False
        self.close_code: int | None = None
        self.is_stuck = False
        scope = make_scope("websocket", WEBSOCKET_PATH, query, **headers)
        self.task = asyncio.create_task(live(scope, self._inbox.get, self._send))

    async def _send(self, message: dict[str, Any]) -> None:
        while self.is_stuck:
            await asyncio.sleep(3600)
        if message["type"] == "websocket.accept":
            self.is_open = True
        elif message["type"] == "websocket.close":
            self.is_open, self.close_code = False, message.get("code", 1000)
        else:
            self.received.append(json.loads(message["text"]))
        self._changed.set()

    def send_to_server(self, **message: Any) -> None:
        self._inbox.put_nowait({"type": "websocket.receive", **message})

    def disconnect(self) -> None:
        self._inbox.put_nowait({"type": "websocket.disconnect", "code": 1001})

    async def wait_for_event(self, kind: str, object_id: int | None = None) -> None:
        """Wait for an event of this kind and object."""
        async with asyncio.timeout(PATIENCE_S):
            while not any((e["kind"], e["id"]) == (kind, object_id) for e in self.received):
                self._changed.clear()
                await self._changed.wait()

    async def wait_closed(self) -> None:
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.wait([self.task])
        self.task.result()

    @property
    def kinds(self) -> list[str]:
        return [event["kind"] for event in self.received]


@asynccontextmanager
async def run_live_app(app: Flask) -> AsyncIterator[LiveApp]:
    live = LiveApp(app)
    live.start()
    try:
        if app.extensions["prosa_redis"].url is not None:
            await wait_until(lambda: live.hub.position != "")
        yield live
    finally:
        live.stop()
        app.extensions.pop("prosa_live", None)


async def wait_until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.02)


def get_session_cookie(client: PanelClient) -> str:
    cookie = client.get_cookie("prosa")
    assert cookie is not None
    return cookie.value


def run_async(test: Awaitable[None]) -> None:
    db.session.rollback()
    asyncio.run(test)  # type: ignore[arg-type]
