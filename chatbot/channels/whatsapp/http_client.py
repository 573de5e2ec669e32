"""HTTP/1.1 for the one call that is made ten thousand times: POST a body, read the answer.

What sending costs is mostly what its HTTP client costs. This one does nothing but what Meta's API
needs (keep-alive, TLS, one POST at a time a connection), and so can say exactly what a general client
can't: whether a byte of the request may have left us. Parsing is llhttp's, by `httptools`.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import urlsplit

import msgspec
from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

MAX_RESPONSE_BYTES = 1 << 20  # bytes
DNS_CACHE_S = 30.0  # how long a looked-up address is believed
TIMEOUT_CHECK_S = 0.1  # how exact a time-out is

Address = tuple[Any, ...]  # as getaddrinfo gives it: host and port come first


class NotConnected(Exception):
    """No connection came about: not a byte of the request has left us."""


class ResponseLost(Exception):
    """The request may have arrived, and no answer that can be read came back."""


class HttpResponse(msgspec.Struct, frozen=True):
    status: int
    body: bytes
    retry_after: str | None = None


class _Connection(asyncio.Protocol):
    """One POST at a time; whatever is not an answer to it ends the connection."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._transport: asyncio.Transport
        self._pending: asyncio.Future[HttpResponse] | None = None
        self._parser: Any = None
        self.is_open = False
        self.idle_since = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self.is_open = True

    def connection_lost(self, error: Exception | None) -> None:
        self.is_open = False
        self._fail(_response_lost(error or ConnectionError("the connection was closed")))

    def eof_received(self) -> None:
        """An answer that gives no length ends here; else connection_lost says that none came."""
        if self._parser is not None and self._has_headers and not self._has_length:
            self._finish(keep=False)

    async def post(self, request: bytes) -> HttpResponse:
        """Raises Broken when the connection ends before the answer."""
        answer: asyncio.Future[HttpResponse] = self._loop.create_future()
        self._pending, self._parser = answer, HttpResponseParser(self)
        self._begin_message()
        self._transport.write(request)
        try:
            return await answer
        finally:
            if self._pending is not None:  # given up on: what comes now answers nobody
                self.close()

    def close(self) -> None:
        self.is_open, self._pending = False, None
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._pending is None:
            self.close()  # nobody asked
            return
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            self._fail(_response_lost(error))
            self.close()

    def time_out(self) -> None:
        self._fail(TimeoutError("no answer in time"))
        self.close()

    def _begin_message(self) -> None:
        self._body, self._size = [], 0  # type: list[bytes], int
        self._retry_after: str | None = None
        self._has_headers = self._has_length = False

    # What follows is called by the parser.

    def on_message_begin(self) -> None:
        if self._pending is None:  # a second answer behind the first
            self.close()

    def on_header(self, name: bytes, value: bytes) -> None:
        lowered = name.lower()
        if lowered == b"retry-after":
            self._retry_after = value.decode("latin-1")
        elif lowered in (b"content-length", b"transfer-encoding"):
            self._has_length = True

    def on_headers_complete(self) -> None:
        self._has_headers = True

    def on_body(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > MAX_RESPONSE_BYTES:
            raise HttpParserError("an answer of more than a megabyte")
        self._body.append(data)

    def on_message_complete(self) -> None:
        if (
            self._parser.get_status_code() < 200
        ):  # 100 Continue, 103 Early Hints: not yet the answer
            self._begin_message()
        else:
            self._finish(keep=self._parser.should_keep_alive())

    def _finish(self, *, keep: bool) -> None:
        answer, self._pending = self._pending, None
        status = self._parser.get_status_code()
        if not keep:
            self.close()
        if answer is not None and not answer.done():
            answer.set_result(HttpResponse(status, b"".join(self._body), self._retry_after))

    def _fail(self, error: Exception) -> None:
        answer, self._pending = self._pending, None
        if answer is not None and not answer.done():
            answer.set_exception(error)


def _response_lost(error: Exception) -> ResponseLost:
    return ResponseLost(f"{type(error).__name__}: {error}")


class HttpClient:
    """POSTs to one address over kept connections, as many as are asked for at once. Of one event loop.

    An idle connection is dropped after `keepalive_s`, which must be shorter than the server's own
    patience: one that the server is just closing would put a message in doubt.
    """

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str],
        *,
        timeout_s: float,
        connect_timeout_s: float,
        keepalive_s: float,
    ) -> None:
        parts = urlsplit(url)
        is_tls = parts.scheme == "https"
        self._host, self._port = parts.hostname or "", parts.port or (443 if is_tls else 80)
        self._tls = ssl.create_default_context() if is_tls else None
        self._timeout_s, self._connect_timeout_s = timeout_s, min(connect_timeout_s, timeout_s)
        self._keepalive_s = keepalive_s
        self._head = _request_head(parts.path, parts.netloc.rpartition("@")[2], headers)
        self._idle: list[_Connection] = []
        self._busy: dict[_Connection, float] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._addresses: list[Address] = []
        self._addresses_until = 0.0
        self._resolve_lock = asyncio.Lock()

    async def post(self, body: bytes) -> HttpResponse:
        """Takes little more than `timeout_s` seconds at most.

        Raises:
            NotConnected: nothing was sent.
            Broken, TimeoutError: it may have arrived.
        """
        until = time.monotonic() + self._timeout_s
        connection = self._take_idle() or await self._connect()
        self._set_deadline(connection, until)
        try:
            response = await connection.post(b"%b%d\r\n\r\n%b" % (self._head, len(body), body))
        finally:
            del self._busy[connection]
        if connection.is_open:
            connection.idle_since = time.monotonic()
            self._idle.append(connection)
        return response

    def _set_deadline(self, connection: _Connection, until: float) -> None:
        """One timer for all: one each would cost a tenth of what a call does."""
        self._busy[connection] = until
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(
                TIMEOUT_CHECK_S, self._expire_overdue
            )

    def _expire_overdue(self) -> None:
        now, self._timer = time.monotonic(), None
        for connection, until in self._busy.items():
            if now >= until:
                connection.time_out()
        if self._busy:
            self._timer = asyncio.get_running_loop().call_later(
                TIMEOUT_CHECK_S, self._expire_overdue
            )

    def close(self) -> None:
        for connection in self._idle:
            connection.close()
        self._idle.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _take_idle(self) -> _Connection | None:
        """The one used last, so that those that are too many grow old."""
        oldest_allowed = time.monotonic() - self._keepalive_s
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open and connection.idle_since > oldest_allowed:
                return connection
            if connection.is_open:
                connection.close()
        return None

    async def _connect(self) -> _Connection:
        error: Exception | None = None
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                for address in await self._resolve():
                    try:
                        return await self._connect_to(address)
                    except OSError as refused:
                        error = refused
        except (TimeoutError, OSError, UnicodeError) as late:
            error = late
        self._addresses_until = 0.0  # who moved is looked up again
        raise NotConnected(f"{type(error).__name__}: {error}") from error

    async def _connect_to(self, address: Address) -> _Connection:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(
            lambda: _Connection(loop),
            *address,
            ssl=self._tls,
            server_hostname=self._host if self._tls else None,
        )
        return connection

    async def _resolve(self) -> list[Address]:
        async with self._resolve_lock:
            if time.monotonic() > self._addresses_until:
                loop = asyncio.get_running_loop()
                found = await loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
                self._addresses = list(dict.fromkeys(entry[4][:2] for entry in found))
                self._addresses_until = time.monotonic() + DNS_CACHE_S
        return self._addresses


def _request_head(path: str, host: str, headers: Mapping[str, str]) -> bytes:
    """All of a request but its length and its body. Raises ValueError for what would split it."""
    lines = [f"POST {path} HTTP/1.1", f"Host: {host}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if any(not line.isprintable() for line in lines):
        raise ValueError("a header may hold no line breaks")
    return "\r\n".join([*lines, "Content-Length: "]).encode("latin-1")
