"""Connections that wait for a request are bounded; gunicorn's own protocol calls our hooks."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from gunicorn.config import Config
from gunicorn.glogging import Logger
from gunicorn.workers import gasgi

from chatbot.realtime import file_limits
from chatbot.realtime.connections import BODY_TIMEOUT_S, WaitingConnections, bound_connections
from chatbot.realtime.file_limits import count_possible_sockets, count_waiting_connections
from tests.support.asgi import wait_until
from tests.support.settings import make_settings

MAX_WAITING = 10  # the least that the setting allows
HANDSHAKE = (
    b"GET /live HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + base64.b64encode(b"k" * 16) + b"\r\n\r\n"
)


class Connection:
    is_dropped = False

    def drop(self) -> None:
        self.is_dropped = True


def test_the_oldest_half_request_is_closed_for_a_new_one() -> None:
    waiting = WaitingConnections(2, 10)
    body, old, new = Connection(), Connection(), Connection()
    waiting.wait_for_body(body, 0)
    waiting.wait_for_headers(old, 1)
    waiting.wait_for_headers(new, 2)
    assert [each.is_dropped for each in (body, old, new)] == [False, True, False]
    assert len(waiting) == 2


def test_headers_and_bodies_have_deadlines() -> None:
    waiting = WaitingConnections(10, 10)
    headers, body = Connection(), Connection()
    waiting.wait_for_headers(headers, 0)
    waiting.wait_for_body(body, 0)
    waiting.drop_overdue(10.1)
    assert (headers.is_dropped, body.is_dropped) == (True, False)
    waiting.drop_overdue(BODY_TIMEOUT_S + 0.1)
    assert body.is_dropped
    assert len(waiting) == 0


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Accept WebSockets and wait for their end; answer requests with their whole body."""
    message = await receive()
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        while (await receive())["type"] != "websocket.disconnect":
            await send({"type": "websocket.send", "text": "here"})
        return
    body = message.get("body", b"")
    while message.get("more_body"):
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body += message["body"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


Peer = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Server:
    def __init__(self, port: int, waiting: WaitingConnections, worker: Any) -> None:
        self.port, self.waiting, self.worker = port, waiting, worker
        self.peers: list[asyncio.StreamWriter] = []

    async def open(self, data: bytes) -> Peer:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(data)
        self.peers.append(writer)
        return reader, writer


@asynccontextmanager
async def serve(
    monkeypatch: pytest.MonkeyPatch, home: Path, **changes: Any
) -> AsyncIterator[Server]:
    """Serve `echo` with gunicorn's protocol, bounded as the web process does it."""
    monkeypatch.setattr(gasgi, "ASGIProtocol", gasgi.ASGIProtocol)  # undone after the test
    loop, cfg = asyncio.get_running_loop(), Config()
    worker = SimpleNamespace(
        cfg=cfg,
        log=Logger(cfg),
        asgi=echo,
        loop=loop,
        nr_conns=0,
        nr=0,
        max_requests=9999,
        alive=True,
    )
    changes = {"MAX_WAITING_CONNECTIONS": MAX_WAITING} | changes
    protocol = bound_connections(worker, make_settings(home, **changes))
    # As `ASGIWorker._serve` does it, by the name that the worker looks up.
    assert "ASGIProtocol" in gasgi.ASGIWorker._serve.__code__.co_names + tuple(
        name
        for constant in gasgi.ASGIWorker._serve.__code__.co_consts
        if hasattr(constant, "co_names")
        for name in constant.co_names
    )
    server = await loop.create_server(lambda: gasgi.ASGIProtocol(worker), "127.0.0.1", 0)
    found = Server(server.sockets[0].getsockname()[1], protocol.waiting, worker)
    try:
        yield found
    finally:
        for peer in found.peers:
            peer.close()
        server.close()
        await wait_until(lambda: worker.nr_conns == 0)


async def closes(reader: asyncio.StreamReader) -> bool:
    async with asyncio.timeout(10):
        try:
            return await reader.read() == b""
        except ConnectionError:
            return True


def test_a_flood_of_half_requests_closes_neither_sockets_nor_the_site(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def story() -> None:
        async with serve(monkeypatch, tmp_path) as server:
            live_reader, live_writer = await server.open(HANDSHAKE)
            assert b"101" in await live_reader.readuntil(b"\r\n\r\n")
            await wait_until(lambda: len(server.waiting) == 0)
            flood = [await server.open(b"GET / HTTP/1.1\r\nHost: ") for _ in range(3 * MAX_WAITING)]
            assert await closes(flood[0][0])
            await wait_until(lambda: server.worker.nr_conns <= MAX_WAITING + 1)
            assert len(server.waiting) == MAX_WAITING
            reader, _ = await server.open(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert b"200 OK" in await reader.read()
            live_writer.write(b"\x81\x82\0\0\0\0hi")  # one masked text frame
            assert await live_reader.readexactly(6) == b"\x81\x04here"

    asyncio.run(story())


def test_headers_that_do_not_arrive_in_time_end_their_connection(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def story() -> None:
        async with serve(monkeypatch, tmp_path, HEADER_TIMEOUT_S=1) as server:
            silent, _ = await server.open(b"")
            half, _ = await server.open(b"GET / HTTP/1.1\r\nHost: ")
            assert await closes(silent)
            assert await closes(half)

    asyncio.run(story())


def test_a_connection_waits_until_its_request_is_whole(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def story() -> None:
        async with serve(monkeypatch, tmp_path) as server:
            reader, writer = await server.open(
                b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nab"
            )
            await wait_until(lambda: len(server.waiting._bodies) == 1)
            writer.write(b"cd")
            assert (await reader.readuntil(b"abcd")).startswith(b"HTTP/1.1 200")
            await wait_until(
                lambda: len(server.waiting._headers) == 1
            )  # kept alive, for the next one
            writer.close()
            await wait_until(lambda: len(server.waiting) == 0)

    asyncio.run(story())


@pytest.mark.parametrize(("files", "waiting", "sockets"), [(1024, 256, 568), (65_536, 1000, 8000)])
def test_file_descriptors_are_divided(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, files: int, waiting: int, sockets: int
) -> None:
    settings = make_settings(tmp_path)
    monkeypatch.setattr(file_limits, "raise_file_limit", lambda: files)
    assert count_waiting_connections(settings) == waiting
    assert count_possible_sockets(settings, 8000) == sockets
