"""Connection to a Redis server, or the reason why it fails: one kind for each different fix."""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

import redis
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    RedisError,
    ResponseError,
    TimeoutError,
)

from chatbot.core.redis import create_blocking_client

TIMEOUT_S = 3.0


class ConnectionFailureKind(StrEnum):
    """Kind of failure, in the order in which a connection can run into them."""

    REFUSED = "refused"
    OTHER = "other"
    SILENT = "silent"
    NEEDS_TLS = "needs_tls"
    NO_TLS = "no_tls"
    CERTIFICATE = "certificate"
    TOO_MANY_CONNECTIONS = "too_many_connections"
    AUTH_FAILED = "auth_failed"
    LOADING = "loading"


@dataclass(frozen=True, slots=True)
class ConnectionFailure:
    kind: ConnectionFailureKind
    detail: str


def connect(url: str) -> redis.Redis | ConnectionFailure:
    """Return a connected client, or the reason why it can't connect."""
    client = create_blocking_client(url, "doctor", timeout_s=TIMEOUT_S)
    try:
        client.echo("doctor")
        # A server that loads its data answers ECHO; one with a full disk refuses PING as a write.
        with suppress(ResponseError):
            client.ping()
    except (RedisError, OSError) as error:
        client.connection_pool.disconnect()
        return ConnectionFailure(
            _classify_error(error, url), f"{type(error).__name__}: {error}"[:300]
        )
    return client


def _classify_error(error: Exception, url: str) -> ConnectionFailureKind:
    """Classify by exception type if redis-py has one, else by the text of the error."""
    if isinstance(error, AuthenticationError):
        return ConnectionFailureKind.AUTH_FAILED
    if isinstance(error, BusyLoadingError):
        return ConnectionFailureKind.LOADING
    text = f"{error} {error.__cause__ or ''}".lower()
    for kind, patterns in ERROR_PATTERNS:
        if any(pattern.lower() in text for pattern in patterns):
            return kind
    if _speaks_tls(url):
        return ConnectionFailureKind.NEEDS_TLS
    if _speaks_plainly(url):
        return ConnectionFailureKind.NO_TLS
    return (
        ConnectionFailureKind.SILENT
        if isinstance(error, TimeoutError)
        else ConnectionFailureKind.OTHER
    )


ERROR_PATTERNS = (
    (ConnectionFailureKind.CERTIFICATE, ("CERTIFICATE_VERIFY_FAILED", "certificate verify failed")),
    (
        ConnectionFailureKind.NO_TLS,
        ("WRONG_VERSION_NUMBER", "wrong version number", "RECORD_LAYER_FAILURE"),
    ),
    (
        ConnectionFailureKind.AUTH_FAILED,
        ("NOAUTH", "WRONGPASS", "Authentication required", "without any password"),
    ),
    (ConnectionFailureKind.LOADING, ("LOADING",)),
    (ConnectionFailureKind.TOO_MANY_CONNECTIONS, ("max number of clients",)),
    (
        ConnectionFailureKind.REFUSED,
        ("refused", "No such file", "Name or service", "getaddrinfo", "not known", "unreachable"),
    ),
)


def _speaks_tls(url: str) -> bool:
    """Return whether a server that does not answer plain Redis completes a TLS handshake."""
    parts = urlsplit(url)
    if parts.scheme != "redis" or not parts.hostname:
        return False
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    address = (parts.hostname, parts.port or 6379)
    with suppress(OSError), socket.create_connection(address, TIMEOUT_S) as plain:
        try:
            with context.wrap_socket(plain, server_hostname=parts.hostname):
                return True
        except ssl.SSLError as error:
            # E.g. it requires a client certificate: that is TLS too.
            return "ALERT" in str(error).upper()
    return False


def _speaks_plainly(url: str) -> bool:
    """Return whether a server that hangs on our TLS handshake answers plain Redis."""
    parts = urlsplit(url)
    if parts.scheme != "rediss" or not parts.hostname:
        return False
    address = (parts.hostname, parts.port or 6379)
    with suppress(OSError), socket.create_connection(address, TIMEOUT_S) as plain:
        plain.sendall(b"PING\r\n")
        return plain.recv(1) in (b"+", b"-")
    return False


def redact_url(url: str) -> str:
    """Return the URL without user and password."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
