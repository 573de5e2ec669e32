"""Flask behind ASGI behaves as under a WSGI server."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask, Response, jsonify, request

from chatbot.realtime import wsgi_bridge
from chatbot.realtime.wsgi_bridge import WsgiBridge, make_environ
from tests.support.asgi import make_scope

MOST = 1000


@pytest.fixture
def plain() -> Flask:
    app = Flask("plain")
    app.config["MAX_CONTENT_LENGTH"] = MOST

    @app.post("/echo")
    def echo() -> Response:
        return jsonify(
            size=len(request.data),
            digest=hashlib.sha256(request.data).hexdigest(),
            length=request.content_length,
        )

    @app.get("/<path:name>")
    def show(name: str) -> Response:
        return jsonify(
            name=name, query=request.query_string.decode("latin-1"), headers=dict(request.headers)
        )

    return app


class Answer:
    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []

    @property
    def status(self) -> int:
        return int(self.messages[0]["status"])

    @property
    def body(self) -> bytes:
        return b"".join(message["body"] for message in self.messages[1:])

    @property
    def json(self) -> Any:
        return Flask("x").json.loads(self.body)


def serve_request(
    wsgi: Any, scope: dict[str, Any], *chunks: bytes, disconnect_after: int | None = None
) -> Answer:
    """Serve a request with a body in chunks; the client disconnects after that many messages."""
    answer = Answer()
    waiting = [
        {"type": "http.request", "body": chunk, "more_body": number < len(chunks) - 1}
        for number, chunk in enumerate(chunks or (b"",))
    ]

    async def receive() -> dict[str, Any]:
        return waiting.pop(0) if waiting else {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        if disconnect_after is not None and len(answer.messages) >= disconnect_after:
            raise OSError("the client is gone")
        answer.messages.append(message)

    asyncio.run(WsgiBridge(wsgi, threads=2, max_body=MOST)(scope, receive, send))  # type: ignore[arg-type]
    return answer


def make_post_scope(**headers: str) -> dict[str, Any]:
    return make_scope("http", "/echo", **headers) | {"method": "POST"}


@pytest.mark.parametrize("has_length", [True, False])
def test_a_body_is_complete_with_and_without_content_length(plain: Flask, has_length: bool) -> None:
    chunks = (b"abc" * 50, b"", b"xyz" * 70)
    whole = b"".join(chunks)
    scope = make_post_scope(**({"content_length": str(len(whole))} if has_length else {}))
    answer = serve_request(plain, scope, *chunks)
    assert answer.status == 200
    assert answer.json == {
        "size": len(whole),
        "digest": hashlib.sha256(whole).hexdigest(),
        "length": len(whole),
    }


def test_a_body_that_is_too_large_is_refused_and_not_buffered(plain: Flask) -> None:
    refused = serve_request(plain, make_post_scope(content_length=str(10 * MOST)), b"x" * 10 * MOST)
    assert refused.status == 413
    refused = serve_request(plain, make_post_scope(), *([b"x" * 100] * 100))
    assert refused.status == 413


def test_a_client_that_disconnects_during_its_body_uses_no_thread() -> None:
    def never(*_arguments: Any) -> Any:
        raise AssertionError("called without a body")

    scope = make_post_scope(content_length="10")

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        raise AssertionError("sent to a disconnected client")

    asyncio.run(WsgiBridge(never, threads=1, max_body=MOST)(scope, receive, send))


def test_paths_queries_and_headers_arrive_as_they_were_sent(plain: Flask) -> None:
    scope = make_scope("http", "/olá/ção", "q=a%20b\xff", accept="x")
    scope["headers"] += [(b"accept", b"y"), (b"cookie", b"a=1"), (b"cookie", b"b=2")]
    found = serve_request(plain, scope).json
    assert found["name"] == "olá/ção"
    assert found["query"] == "q=a%20b\xff"
    assert found["headers"]["Accept"] == "x,y"
    assert found["headers"]["Cookie"] == "a=1; b=2"


def test_a_header_with_an_underscore_does_not_override_the_hyphenated_one(plain: Flask) -> None:
    scope = make_scope("http", "/x")
    scope["headers"] += [(b"x_forwarded_for", b"6.6.6.6")]
    assert "X-Forwarded-For" not in serve_request(plain, scope).json["headers"]


def test_a_usual_response_is_one_start_and_one_chunk(plain: Flask) -> None:
    answer = serve_request(plain, make_scope("http", "/x"))
    assert [message["type"] for message in answer.messages] == [
        "http.response.start",
        "http.response.body",
    ]
    assert answer.messages[-1]["more_body"] is False


class Stream:
    """Long response that records its progress and whether it was closed."""

    def __init__(self, most: int = 50) -> None:
        self.most, self.made, self.is_closed = most, 0, False

    def __call__(self, _environ: Any, start_response: Any) -> Stream:
        start_response("200 OK", [("Content-Type", "text/csv")])
        return self

    def __iter__(self) -> Iterator[bytes]:
        for _ in range(self.most):
            self.made += 1
            yield b"line\n"

    def close(self) -> None:
        self.is_closed = True


def test_a_streamed_response_is_sent_chunk_by_chunk() -> None:
    stream = Stream()
    answer = serve_request(stream, make_scope("http", "/x"))
    assert answer.body == b"line\n" * 50
    assert len(answer.messages) == 51
    assert stream.is_closed


def test_a_client_that_disconnects_ends_the_stream_and_frees_its_thread() -> None:
    stream = Stream(most=1_000_000)
    with pytest.raises(OSError, match="gone"):
        serve_request(stream, make_scope("http", "/x"), disconnect_after=3)
    assert stream.is_closed
    assert stream.made < 10


def test_a_client_that_reads_nothing_frees_its_thread_after_a_timeout(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(wsgi_bridge, "SEND_TIMEOUT_S", 0.1)
    stream = Stream()

    async def story() -> None:
        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b""}

        async def send(_message: dict[str, Any]) -> None:
            await asyncio.sleep(3600)

        await WsgiBridge(stream, threads=1, max_body=MOST)(make_scope("http", "/x"), receive, send)

    with pytest.raises(TimeoutError):
        asyncio.run(story())
    assert stream.is_closed


def test_an_error_of_the_application_reaches_the_server() -> None:
    def broken(*_arguments: Any) -> Any:
        raise RuntimeError("ours")

    with pytest.raises(RuntimeError, match="ours"):
        serve_request(broken, make_scope("http", "/x"))


def test_a_websocket_handshake_has_a_wsgi_environment() -> None:
    environ = make_environ(make_scope("websocket", "/live", cookie="prosa=1"))
    assert environ["wsgi.url_scheme"] == "http"
    assert environ["REQUEST_METHOD"] == "GET"
    assert environ["HTTP_COOKIE"] == "prosa=1"


def test_a_chunked_body_is_not_read_as_empty(plain: Flask) -> None:
    """The server has decoded the chunks, so the application must not hear of them."""
    answer = serve_request(plain, make_post_scope(transfer_encoding="chunked"), b"abc", b"xyz")
    assert answer.json["size"] == answer.json["length"] == 6
    refused = serve_request(
        plain, make_post_scope(transfer_encoding="chunked"), *([b"x" * 100] * 100)
    )
    assert refused.status == 413


def test_writers_that_wait_stop_neither_readers_nor_liveness() -> None:
    release = threading.Event()
    waiting = threading.Semaphore(0)

    def wsgi(environ: dict[str, Any], start: Any) -> list[bytes]:
        if environ["REQUEST_METHOD"] == "POST":
            waiting.release()
            release.wait(30)
        start("200 OK", [])
        return [environ["REQUEST_METHOD"].encode()]

    async def story() -> list[bytes]:
        bridge = WsgiBridge(wsgi, threads=4, max_body=MOST)

        async def fetch(method: str, path: str) -> bytes:
            messages: list[Any] = []

            async def receive() -> dict[str, Any]:
                return {"type": "http.request", "body": b""}

            async def send(message: Any) -> None:
                messages.append(message)

            await bridge(make_scope("http", path) | {"method": method}, receive, send)
            return bytes(messages[-1]["body"])

        writers = [asyncio.create_task(fetch("POST", "/")) for _ in range(8)]
        try:
            for _ in range(3):
                await asyncio.to_thread(waiting.acquire, timeout=10)
            async with asyncio.timeout(10):
                found = [await fetch("GET", "/"), await fetch("GET", "/health/live")]
        finally:
            release.set()
        return found + await asyncio.gather(*writers)

    assert asyncio.run(story()) == [b"GET", b'{"status":"healthy"}\n', *[b"POST"] * 8]


def test_liveness_needs_no_thread_at_all() -> None:
    def never(*_arguments: Any) -> Any:
        raise AssertionError("called for liveness")

    answer = serve_request(never, make_scope("http", "/health/live"))
    assert (answer.status, answer.json) == (200, {"status": "healthy"})
