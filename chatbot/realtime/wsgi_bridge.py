"""Run Flask in the process that serves the sockets: WSGI in threads behind ASGI.

A request takes a thread only after its body has arrived, so slow uploads block no thread. The last chunk
of the response is sent after the thread is free, so a usual page switches threads once each way.
"""

from __future__ import annotations

import asyncio
import contextvars
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import IO, Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

MAX_BYTES_IN_MEMORY = 256 * 1024  # bytes of a body; a larger one goes to a temporary file
LIVENESS_PATH = "/health/live"
READING_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
SEND_TIMEOUT_S = 60.0  # for a client to take one chunk of a streamed response


class WsgiBridge:
    """ASGI application for HTTP that calls a WSGI application.

    Liveness is answered here, and a part of the threads is left to requests that only read: writers may all
    wait for a lock. Bodies over `max_body` bytes are not read; the application sees their length and
    refuses them.
    """

    def __init__(self, wsgi: Wsgi, *, threads: int, max_body: int) -> None:
        self._wsgi = wsgi
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="page")
        self._max_body = max_body
        self._writers = asyncio.Semaphore(max(1, threads - max(1, threads // 4)))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == LIVENESS_PATH and scope["method"] in ("GET", "HEAD"):
            await _answer_liveness(send)
            return
        environ = make_environ(scope)
        with tempfile.SpooledTemporaryFile(MAX_BYTES_IN_MEMORY) as body:
            if not await self._read(environ, receive, body):
                return
            body.seek(0)
            environ["wsgi.input"] = body
            environ["prosa.arrived_at"] = time.monotonic()
            response = _WsgiResponse(asyncio.get_running_loop(), send)
            if scope["method"] in READING_METHODS:
                await self._run(response, environ)
            else:
                async with self._writers:
                    await self._run(response, environ)
            await response.finish()

    async def _run(self, response: _WsgiResponse, environ: dict[str, Any]) -> None:
        run = contextvars.copy_context().run
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._threads, run, response.call_app, self._wsgi, environ)

    async def _read(self, environ: dict[str, Any], receive: Receive, body: IO[bytes]) -> bool:
        """Read the body and set its length; return False if the client disconnected."""
        if int(environ.get("CONTENT_LENGTH") or 0) > self._max_body:
            return True
        more = True
        while more and body.tell() <= self._max_body:
            message = await receive()
            if message["type"] == "http.disconnect":
                return False
            body.write(message.get("body", b""))
            more = message.get("more_body", False)
        environ["CONTENT_LENGTH"] = str(body.tell())
        return True


async def _answer_liveness(send: Send) -> None:
    """Report that the process answers, as `/health/live` of the pages does under other workers."""
    body = b'{"status":"healthy"}\n'
    headers = {
        "content-type": "application/json",
        "content-length": str(len(body)),
        "cache-control": "no-store",
        "x-content-type-options": "nosniff",
    }
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": 200, "headers": raw})
    await send({"type": "http.response.body", "body": body, "more_body": False})


class _WsgiResponse:
    """Response of the application. One chunk is held back, so that the last is sent with the end."""

    def __init__(self, loop: asyncio.AbstractEventLoop, send: Send) -> None:
        self._loop = loop
        self._send = send
        self._start: Message | None = None
        self._held = b""

    def call_app(self, wsgi: Wsgi, environ: dict[str, Any]) -> None:
        """Call the application, in a thread; its errors are left to the server."""
        chunks = wsgi(environ, self._start_response)
        try:
            for chunk in chunks:
                if self._held and chunk:
                    self._stream(self._held)
                self._held = chunk or self._held
        finally:
            close = getattr(chunks, "close", None)
            if close is not None:
                close()

    def _start_response(self, status: str, headers: list[tuple[str, str]], *_error: Any) -> None:
        self._start = {
            "type": "http.response.start",
            "status": int(status.partition(" ")[0]),
            "headers": [(n.lower().encode("latin-1"), v.encode("latin-1")) for n, v in headers],
        }

    def _stream(self, chunk: bytes) -> None:
        """Send a chunk. Raises if the client is gone or takes too long, which ends the response."""
        sent = asyncio.run_coroutine_threadsafe(self._send_body(chunk, more=True), self._loop)
        try:
            sent.result(SEND_TIMEOUT_S)
        except TimeoutError:
            sent.cancel()
            raise

    async def finish(self) -> None:
        await self._send_body(self._held, more=False)

    async def _send_body(self, chunk: bytes, *, more: bool) -> None:
        if self._start is not None:
            start, self._start = self._start, None
            await self._send(start)
        await self._send({"type": "http.response.body", "body": chunk, "more_body": more})


def make_environ(scope: Scope) -> dict[str, Any]:
    """Return the WSGI environment of an ASGI scope, HTTP or WebSocket, without a body."""
    host, port = scope.get("server") or ("localhost", 80)
    environ: dict[str, Any] = {
        "REQUEST_METHOD": scope.get("method", "GET"),
        "SCRIPT_NAME": "",
        # WSGI (PEP 3333) expects the bytes of the path decoded as Latin-1.
        "PATH_INFO": scope["path"].encode("utf-8", "surrogateescape").decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_NAME": host,
        "SERVER_PORT": str(port or 0),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "REMOTE_ADDR": (scope.get("client") or ("127.0.0.1", 0))[0],
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope["scheme"].replace("ws", "http"),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    for raw_name, raw_value in scope["headers"]:
        if b"_" in raw_name:
            continue  # could override the header with a hyphen, which a proxy has checked
        if raw_name.lower() == b"transfer-encoding":
            continue  # the server has decoded the chunks; with it Werkzeug reads an empty body
        name = raw_name.decode("latin-1").upper().replace("-", "_")
        name = name if name in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{name}"
        value = raw_value.decode("latin-1")
        between = "; " if name == "HTTP_COOKIE" else ","
        environ[name] = f"{environ[name]}{between}{value}" if name in environ else value
    return environ
