"""Flask's pages in the process that holds the sockets: WSGI in threads behind ASGI.

A request takes a thread only once its body is here, and gives it back with the answer's last piece in
its hands, so the usual page costs no more than one crossing each way, and a slow upload holds nobody.
"""

from __future__ import annotations

import asyncio
import contextvars
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import IO, Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

MAX_BYTES_IN_MEMORY = 256 * 1024  # bytes of a body; a larger one goes to a temporary file
SEND_TIMEOUT_S = 60.0  # the longest that a client may take over one piece of a streamed answer


class WsgiBridge:
    """An ASGI application for HTTP. Bodies beyond `most_body` bytes are not read: the application
    sees their length, and refuses them."""

    def __init__(self, wsgi: Wsgi, *, threads: int, max_body: int) -> None:
        self._wsgi = wsgi
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="page")
        self._max_body = max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        environ = make_environ(scope)
        with tempfile.SpooledTemporaryFile(MAX_BYTES_IN_MEMORY) as body:
            if not await self._read(environ, receive, body):
                return
            body.seek(0)
            environ["wsgi.input"] = body
            run = contextvars.copy_context().run
            loop = asyncio.get_running_loop()
            answer = _WsgiResponse(loop, send)
            await loop.run_in_executor(self._threads, run, answer.call_app, self._wsgi, environ)
            await answer.finish()

    async def _read(self, environ: dict[str, Any], receive: Receive, body: IO[bytes]) -> bool:
        """False when the client went away. Without a Content-Length, what came is the length."""
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


class _WsgiResponse:
    """What the application answers. One piece is always held back: the last leaves with the end."""

    def __init__(self, loop: asyncio.AbstractEventLoop, send: Send) -> None:
        self._loop = loop
        self._send = send
        self._start: Message | None = None
        self._held = b""

    def call_app(self, wsgi: Wsgi, environ: dict[str, Any]) -> None:
        """In a thread. An error leaves by here, and the server answers for it."""
        pieces = wsgi(environ, self._start_response)
        try:
            for piece in pieces:
                if self._held and piece:
                    self._stream(self._held)
                self._held = piece or self._held
        finally:
            close = getattr(pieces, "close", None)
            if close is not None:
                close()

    def _start_response(self, status: str, headers: list[tuple[str, str]], *_error: Any) -> None:
        self._start = {
            "type": "http.response.start",
            "status": int(status.partition(" ")[0]),
            "headers": [(n.lower().encode("latin-1"), v.encode("latin-1")) for n, v in headers],
        }

    def _stream(self, piece: bytes) -> None:
        """Raises when the client is gone, or takes nothing: what makes the answer then ends."""
        sent = asyncio.run_coroutine_threadsafe(self._send_body(piece, more=True), self._loop)
        try:
            sent.result(SEND_TIMEOUT_S)
        except TimeoutError:
            sent.cancel()
            raise

    async def finish(self) -> None:
        await self._send_body(self._held, more=False)

    async def _send_body(self, piece: bytes, *, more: bool) -> None:
        if self._start is not None:
            start, self._start = self._start, None
            await self._send(start)
        await self._send({"type": "http.response.body", "body": piece, "more_body": more})


def make_environ(scope: Scope) -> dict[str, Any]:
    """The WSGI environment of an ASGI scope, of a socket's handshake too; without a body."""
    host, port = scope.get("server") or ("localhost", 80)
    environ: dict[str, Any] = {
        "REQUEST_METHOD": scope.get("method", "GET"),
        "SCRIPT_NAME": "",
        # WSGI wants the bytes of the path, each as one character.
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
            continue  # would pass for its sister with a hyphen, which a proxy has checked
        name = raw_name.decode("latin-1").upper().replace("-", "_")
        name = name if name in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{name}"
        value = raw_value.decode("latin-1")
        between = "; " if name == "HTTP_COOKIE" else ","
        environ[name] = f"{environ[name]}{between}{value}" if name in environ else value
    return environ
