"""Minimal HTTP/1.1 client for sending messages: POST a body, read the response.

Most of the CPU time of sending is spent in the HTTP client. This one does only what Meta's API needs
(keep-alive, TLS, one POST at a time per connection). Unlike general clients, it can tell whether any
byte of the request may have been sent. Responses are parsed by llhttp (`httptools`).
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
DNS_CACHE_S = 30.0  # how long a resolved address is used
TIMEOUT_CHECK_S = 0.1  # precision of a timeout

Address = tuple[Any, ...]  # as getaddrinfo returns it: host and port come first


class NotConnected(Exception):
    """Failure to connect: no byte of the request was sent."""


class ResponseLost(Exception):
    """Failure after sending: the request may have arrived, but there was no readable response."""


class HttpResponse(msgspec.Struct, frozen=True):
    status: int
    body: bytes
    retry_after: str | None = None


class _Connection(asyncio.Protocol):
    """Connection with one POST at a time. Any data that is not its response ends the connection."""

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
        """Complete a response without a length; for any other, connection_lost reports the failure."""
        if self._parser is not None and self._has_headers and not self._has_length:
            self._finish(keep=False)

    async def post(self, request: bytes) -> HttpResponse:
        """Send a request. Raises ResponseLost if the connection ends before the response."""
        response: asyncio.Future[HttpResponse] = self._loop.create_future()
        self._pending, self._parser = response, HttpResponseParser(self)
        self._begin_message()
        self._transport.write(request)
        try:
            return await response
        finally:
            if (
                self._pending is not None
            ):  # cancelled: a later response must not be used for another call
                self.close()

    def close(self) -> None:
        self.is_open, self._pending = False, None
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._pending is None:
            self.close()  # no request is pending
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

    # Callbacks of the parser.

    def on_message_begin(self) -> None:
        if self._pending is None:  # a second response after the first
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
            raise HttpParserError("a response of more than a megabyte")
        self._body.append(data)

    def on_message_complete(self) -> None:
        if self._parser.get_status_code() < 200:  # 100 Continue, 103 Early Hints: only interim
            self._begin_message()
        else:
            self._finish(keep=self._parser.should_keep_alive())

    def _finish(self, *, keep: bool) -> None:
        response, self._pending = self._pending, None
        status = self._parser.get_status_code()
        if not keep:
            self.close()
        if response is not None and not response.done():
            response.set_result(HttpResponse(status, b"".join(self._body), self._retry_after))

    def _fail(self, error: Exception) -> None:
        response, self._pending = self._pending, None
        if response is not None and not response.done():
            response.set_exception(error)


def _response_lost(error: Exception) -> ResponseLost:
    return ResponseLost(f"{type(error).__name__}: {error}")


class HttpClient:
    """Client that POSTs to one address over kept connections, one for each concurrent call.

    Used from one event loop. An idle connection is dropped after `keepalive_s`, which must be shorter
    than the server's keep-alive: with a connection that the server is closing at this moment, it would be
    unknown whether a message was sent.
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
        """Send a request and return the response within little more than `timeout_s` seconds.

        Raises:
            NotConnected: nothing was sent.
            ResponseLost, TimeoutError: the request may have arrived.
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
        """Set the deadline of a call. One timer serves all, since one each would cost 10 % more CPU."""
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
        """Return the most recently used idle connection, so that surplus ones expire."""
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
        except (TimeoutError, OSError, UnicodeError) as failed:
            error = failed
        self._addresses_until = 0.0  # resolve again: the address may have changed
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
    """Build the request up to its length and body. Raises ValueError for a header with line breaks."""
    lines = [f"POST {path} HTTP/1.1", f"Host: {host}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if any(not line.isprintable() for line in lines):
        raise ValueError("a header may hold no line breaks")
    return "\r\n".join([*lines, "Content-Length: "]).encode("latin-1")
