"""Client of Meta's Cloud API: the gateway that sends messages, and single calls of the Graph API."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import aiohttp
import msgspec

from chatbot.channels.gateway import Accepted, Doubtful, GatewayAnswer, Refused, Unreachable
from chatbot.channels.whatsapp.http_client import HttpClient, NotConnected, ResponseLost

CONNECT_TIMEOUT_S = 5.0
CALL_TIMEOUT_S = 15.0
# Shorter than the server's keep-alive: with a connection that the server is closing at this moment,
# it would be unknown whether a message was sent.
KEEPALIVE_S = 10.0


class _ErrorFields(msgspec.Struct):
    code: int
    message: str = ""
    error_data: Any = None
    error_subcode: Any = None

    @property
    def detail(self) -> str:
        data = self.error_data
        details = data.get("details") if isinstance(data, dict) else data
        return str(details or self.message)[:500]

    @property
    def effective_code(self) -> int:
        """Graph's code; 33 (a problem of our number) if (100, 33) says that the object does not exist."""
        return 33 if (self.code, self.error_subcode) == (100, 33) else self.code


class _ErrorBody(msgspec.Struct):
    error: _ErrorFields


class _SentContact(msgspec.Struct):
    wa_id: str | None = None


class _SentMessage(msgspec.Struct):
    id: str


class _SentBody(msgspec.Struct):
    messages: list[_SentMessage]
    contacts: list[_SentContact] = []


_errors = msgspec.json.Decoder(_ErrorBody)
_sent = msgspec.json.Decoder(_SentBody)
_encode = msgspec.json.Encoder().encode


class WhatsAppGateway:
    """Sender of one number. Implements `channels.gateway.Gateway`."""

    def __init__(
        self,
        api_url: str,
        token: str,
        phone_number_id: str,
        *,
        timeout_s: float = CALL_TIMEOUT_S,
    ) -> None:
        self._url = f"{api_url}/{phone_number_id}/messages"
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self._timeout_s = timeout_s
        self._http: HttpClient

    async def __aenter__(self) -> Self:
        self._http = HttpClient(
            self._url,
            self._headers,
            timeout_s=self._timeout_s,
            connect_timeout_s=CONNECT_TIMEOUT_S,
            keepalive_s=KEEPALIVE_S,
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._http.close()

    async def send(self, body: Mapping[str, Any]) -> GatewayAnswer:
        try:
            response = await self._http.post(_encode(body))
        except NotConnected as error:
            return Unreachable(str(error))
        except (ResponseLost, TimeoutError) as error:
            return Doubtful(f"{type(error).__name__}: {error}")
        return parse_send_answer(response.status, response.body, response.retry_after)


def parse_send_answer(status: int, raw: bytes, retry_after: str | None = None) -> GatewayAnswer:
    """Parse an answer: only a Graph error object is a refusal, and only a message id an acceptance."""
    if 200 <= status < 300:
        try:
            sent = _sent.decode(raw)
            return Accepted(sent.messages[0].id, sent.contacts[0].wa_id if sent.contacts else None)
        except (msgspec.MsgspecError, UnicodeDecodeError, IndexError):
            return Doubtful(f"HTTP {status} with an unreadable body")
    try:
        error = _errors.decode(raw).error
    except (msgspec.MsgspecError, UnicodeDecodeError):
        if status == 429:  # Meta's edge throttles before the message is accepted
            return Refused(130429, "HTTP 429", status, _parse_retry_after(retry_after))
        return Doubtful(f"HTTP {status} that does not come from Graph")
    return Refused(error.effective_code, error.detail, status, _parse_retry_after(retry_after))


def _parse_retry_after(retry_after: str | None) -> float | None:
    return min(float(retry_after), 3600.0) if retry_after and retry_after.isdigit() else None


def make_session(
    connections: int, headers: Mapping[str, str], timeout_s: float = CALL_TIMEOUT_S
) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=connections, keepalive_timeout=KEEPALIVE_S),
        timeout=aiohttp.ClientTimeout(
            total=timeout_s, connect=CONNECT_TIMEOUT_S, sock_connect=CONNECT_TIMEOUT_S
        ),
        headers=headers,
        auto_decompress=True,
    )


class GraphError(Exception):
    """A call of the Graph API failed. `code` is Graph's, or 0 if Graph did not answer."""

    def __init__(self, message: str, code: int = 0, status: int = 0) -> None:
        super().__init__(message)
        self.code = code
        self.status = status


def call_graph(
    api_url: str,
    token: str,
    path: str,
    *,
    params: Mapping[str, str] | None = None,
    method: str = "GET",
) -> dict[str, Any]:
    """Make one call with a connection of its own. Raises GraphError for any failure."""
    return asyncio.run(_call_graph(f"{api_url}/{path}", token, params or {}, method))


async def _call_graph(
    url: str, token: str, params: Mapping[str, str], method: str
) -> dict[str, Any]:
    try:
        async with (
            make_session(2, {"Authorization": f"Bearer {token}"}) as http,
            http.request(method, url, params=params) as response,
        ):
            raw = await response.read()
            status = response.status
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise GraphError(f"{url} does not answer: {type(error).__name__}: {error}") from error
    return parse_graph_json(url, status, raw)


def parse_graph_json(url: str, status: int, raw: bytes) -> dict[str, Any]:
    """Decode Graph's answer. Raises GraphError for an error and for an answer that is not Graph's."""
    if status >= 400:
        answer = parse_send_answer(status, raw)
        if isinstance(answer, Refused):
            raise GraphError(f"({answer.code}) {answer.detail}", answer.code, status)
        raise GraphError(f"{url} answered HTTP {status}", 0, status)
    try:
        return msgspec.json.decode(raw, type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise GraphError(f"{url} answered with something that is not JSON") from error


def verify_callback(address: str, verify_token: str) -> str:
    """Send a callback address Meta's verification request; return the problem, or an empty text."""
    return asyncio.run(_verify_callback(address, verify_token))


async def _verify_callback(address: str, verify_token: str) -> str:
    challenge = secrets.token_hex(8)
    params = {
        "hub.mode": "subscribe",
        "hub.verify_token": verify_token,
        "hub.challenge": challenge,
    }
    try:
        async with make_session(1, {}) as http, http.get(address, params=params) as response:
            text = await response.text()
    except (aiohttp.ClientError, TimeoutError, OSError, UnicodeDecodeError) as error:
        return f"does not answer ({type(error).__name__})"
    if response.status == 403:
        return "answers 403: another verify token is set there"
    return "" if response.status == 200 and text == challenge else f"answers {response.status}"
