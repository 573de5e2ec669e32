"""HTTP client for sending, against a server with scripted responses."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from chatbot.channels.whatsapp import http_client as http_client_module
from chatbot.channels.whatsapp.http_client import (
    HttpClient,
    HttpResponse,
    NotConnected,
    ResponseLost,
)

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
# What the server does at each request: writes bytes, waits seconds, closes (None).
Script = list[bytes | float | None]


class ScriptedServer:
    def __init__(self, *scripts: Script) -> None:
        self._scripts = iter(scripts)
        self.connections = 0
        self.requests: list[bytes] = []

    async def __aenter__(self) -> ScriptedServer:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                self.requests.append(head + await reader.readexactly(length))
                for act in next(self._scripts):
                    if act is None:
                        return
                    if isinstance(act, bytes):
                        writer.write(act)
                    else:
                        await asyncio.sleep(act)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            return
        finally:
            writer.close()


def make_http_client(port: int, host: str = "127.0.0.1", **more: Any) -> HttpClient:
    limits = {"timeout_s": 5.0, "connect_timeout_s": 5.0, "keepalive_s": 5.0} | more
    return HttpClient(
        f"http://{host}:{port}/v25.0/1/messages", {"Authorization": "Bearer x"}, **limits
    )


def with_server(
    scripts: list[Script], talk: Callable[[HttpClient, ScriptedServer], Awaitable[Any]], **more: Any
) -> tuple[Any, ScriptedServer]:
    async def everything() -> tuple[Any, ScriptedServer]:
        async with ScriptedServer(*scripts) as server:
            http_client = make_http_client(server.port, **more)
            try:
                return await talk(http_client, server), server
            finally:
                http_client.close()

    return asyncio.run(everything())


async def post_once(http_client: HttpClient, _server: ScriptedServer) -> HttpResponse:
    return await http_client.post(b'{"to": 1}')


async def post_twice(http_client: HttpClient, _server: ScriptedServer) -> list[HttpResponse]:
    return [await http_client.post(b"first"), await http_client.post(b"second")]


def test_a_request_has_the_headers_that_meta_requires() -> None:
    answer, server = with_server([[OK]], post_once)
    assert answer == HttpResponse(200, b"{}")
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"POST /v25.0/1/messages HTTP/1.1"
    assert set(lines[1:]) == {
        b"Host: 127.0.0.1:%d" % server.port,
        b"Authorization: Bearer x",
        b"Content-Length: 9",
    }
    assert body == b'{"to": 1}'


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ([b"HTTP/1.1 2", 0.01, b"00 OK\r\nContent-Le", 0.01, b"ngth: 2\r\n\r\n{", 0.01, b"}"],
         HttpResponse(200, b"{}")),
        ([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n"],
         HttpResponse(200, b"{}")),
        ([b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nRetry-After: 9\r\n\r\n" + OK],
         HttpResponse(200, b"{}")),
        ([b"HTTP/1.0 502 Bad\r\n\r\n<html>", None], HttpResponse(502, b"<html>")),
        ([b"HTTP/1.1 204 No Content\r\n\r\n"], HttpResponse(204, b"")),
        ([b"HTTP/1.1 429 No\r\nretry-after: 7\r\nContent-Length: 0\r\n\r\n"],
         HttpResponse(429, b"", "7")),
    ],
)  # fmt: skip
def test_a_response_is_read_in_any_framing(script: Script, expected: HttpResponse) -> None:
    assert with_server([script], post_once)[0] == expected


@pytest.mark.parametrize(
    "script",
    [
        [None],
        [b"HTTP/1.1 200 OK\r\n", None],
        [b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{", None],
        [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{", None],
        [b"SSH-2.0-OpenSSH\r\n"],
        [b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\nxx"],
        [b"HTTP/1.1 200 OK\r\nContent-Length: 2000000\r\n\r\n" + b"x" * 2_000_000],
    ],
)
def test_an_unreadable_response_raises_response_lost(script: Script) -> None:
    with pytest.raises(ResponseLost):
        with_server([script], post_once)


def test_one_connection_is_reused_for_successive_calls() -> None:
    answers, server = with_server([[OK], [OK]], post_twice)
    assert answers == [HttpResponse(200, b"{}")] * 2
    assert server.connections == 1


@pytest.mark.parametrize(
    "first",
    [
        [b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}"],
        [OK, None],
        [OK + b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad"],
    ],
)
def test_a_connection_that_closes_or_sends_excess_data_is_not_reused(first: Script) -> None:
    async def talk(http_client: HttpClient, _server: ScriptedServer) -> list[HttpResponse]:
        answers = [await http_client.post(b"first")]
        await asyncio.sleep(0.1)  # the server's closing arrives
        return [*answers, await http_client.post(b"second")]

    answers, server = with_server([first, [OK]], talk)
    assert answers == [HttpResponse(200, b"{}")] * 2
    assert server.connections == 2


def test_an_idle_connection_past_its_keepalive_is_not_reused() -> None:
    async def talk(http_client: HttpClient, server: ScriptedServer) -> None:
        await http_client.post(b"first")
        await asyncio.sleep(0.1)
        await http_client.post(b"second")

    assert with_server([[OK], [OK]], talk, keepalive_s=0.05)[1].connections == 2


def test_a_late_response_is_not_taken_for_another_call() -> None:
    async def talk(http_client: HttpClient, _server: ScriptedServer) -> HttpResponse:
        with pytest.raises(TimeoutError):
            await http_client.post(b"first")
        return await http_client.post(b"second")

    late: Script = [0.6, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nlater"]
    answer, server = with_server([late, [OK]], talk, timeout_s=0.2)
    assert answer == HttpResponse(200, b"{}")
    assert server.connections == 2


def test_a_cancelled_call_leaves_no_connection_behind() -> None:
    async def talk(http_client: HttpClient, _server: ScriptedServer) -> HttpResponse:
        call = asyncio.create_task(http_client.post(b"first"))
        await asyncio.sleep(0.1)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        return await http_client.post(b"second")

    answer, server = with_server([[5.0], [OK]], talk)
    assert answer == HttpResponse(200, b"{}")
    assert server.connections == 2


def test_a_refused_connection_raises_not_connected() -> None:
    async def talk(http_client: HttpClient, server: ScriptedServer) -> None:
        nowhere = make_http_client(1)
        with pytest.raises(NotConnected, match="Refused"):
            await nowhere.post(b"x")

    with_server([], talk)


def test_a_name_that_did_not_resolve_is_resolved_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def talk(http_client: HttpClient, server: ScriptedServer) -> HttpResponse:
        asked, loop = [], asyncio.get_running_loop()

        async def getaddrinfo(host: str, port: int, **_: object) -> list[Any]:
            asked.append(host)
            if len(asked) == 1:
                raise OSError("Temporary failure in name resolution")
            return [(2, 1, 6, "", ("127.0.0.1", 1)), (2, 1, 6, "", ("127.0.0.1", port))]

        monkeypatch.setattr(loop, "getaddrinfo", getaddrinfo)
        named = make_http_client(server.port, "graph.test")
        with pytest.raises(NotConnected, match="name resolution"):
            await named.post(b"x")
        answers = await asyncio.gather(named.post(b"x"), named.post(b"y"))
        assert asked == ["graph.test"] * 2  # once more, for both
        return answers[0]

    assert with_server([[OK], [OK]], talk)[0] == HttpResponse(200, b"{}")


def test_nothing_is_sent_to_an_untrusted_certificate(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def talk(http_client: HttpClient, server: ScriptedServer) -> None:
        secure = HttpClient(f"https://127.0.0.1:{server.port}/x", {}, timeout_s=5.0,
                      connect_timeout_s=5.0, keepalive_s=5.0)  # fmt: skip
        assert secure._tls is not None
        assert secure._tls.verify_mode is ssl.CERT_REQUIRED
        assert secure._tls.check_hostname
        with pytest.raises(NotConnected):
            await secure.post(b"x")
        assert server.requests == []

    with_server([], talk)


@pytest.mark.parametrize("token", ["a\r\nX-Evil: 1", "a\nb", "a\x00"])
def test_a_token_with_line_breaks_is_rejected(token: str) -> None:
    with pytest.raises(ValueError, match="line breaks"):
        HttpClient("http://127.0.0.1/", {"Authorization": f"Bearer {token}"},
             timeout_s=1.0, connect_timeout_s=1.0, keepalive_s=1.0)  # fmt: skip


def test_concurrent_calls_share_one_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    async def talk(http_client: HttpClient, server: ScriptedServer) -> list[HttpResponse]:
        made: list[float] = []
        loop = asyncio.get_running_loop()
        later = loop.call_later
        monkeypatch.setattr(
            loop,
            "call_later",
            lambda after, act, *a: (
                made.append(after) if after == http_client_module.TIMEOUT_CHECK_S else None,
                later(after, act, *a),
            )[1],
        )
        answers = await asyncio.gather(*(http_client.post(b"x") for _ in range(40)))
        assert len(made) <= 3
        return answers

    answers, server = with_server([[OK]] * 40, talk)
    assert answers == [HttpResponse(200, b"{}")] * 40
    assert server.connections == 40
