"""Whether a server can be reached, and if not, why: the kinds of failure that have different mends."""

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

from chatbot.core.redis import blocking_client

TIMEOUT_S = 3.0


class Kind(StrEnum):
    """In the order in which a connection meets them."""

    REFUSED = "refused"
    OTHER = "other"
    SILENT = "silent"
    NEEDS_TLS = "needs_tls"
    NO_TLS = "no_tls"
    CERTIFICATE = "certificate"
    FULL_HOUSE = "full_house"
    LOCKED = "locked"
    LOADING = "loading"


@dataclass(frozen=True, slots=True)
class Failure:
    kind: Kind
    detail: str


def reach(url: str) -> redis.Redis | Failure:
    """A client whose connection is open, or why there is none."""
    client = blocking_client(url, "doctor", timeout_s=TIMEOUT_S)
    try:
        client.echo("doctor")
        # A server that loads its data answers ECHO; one with a full disk refuses PING as a write.
        with suppress(ResponseError):
            client.ping()
    except (RedisError, OSError) as error:
        client.connection_pool.disconnect()
        return Failure(_kind_of(error, url), f"{type(error).__name__}: {error}"[:300])
    return client


def _kind_of(error: Exception, url: str) -> Kind:
    """By type where redis-py has one, else by the words of OpenSSL, the system or the server."""
    if isinstance(error, AuthenticationError):
        return Kind.LOCKED
    if isinstance(error, BusyLoadingError):
        return Kind.LOADING
    words = f"{error} {error.__cause__ or ''}"
    for kind, signs in SIGNS:
        if any(sign.lower() in words.lower() for sign in signs):
            return kind
    if _speaks_tls(url):
        return Kind.NEEDS_TLS
    if _speaks_plainly(url):
        return Kind.NO_TLS
    return Kind.SILENT if isinstance(error, TimeoutError) else Kind.OTHER


SIGNS = (
    (Kind.CERTIFICATE, ("CERTIFICATE_VERIFY_FAILED", "certificate verify failed")),
    (Kind.NO_TLS, ("WRONG_VERSION_NUMBER", "wrong version number", "RECORD_LAYER_FAILURE")),
    (Kind.LOCKED, ("NOAUTH", "WRONGPASS", "Authentication required", "without any password")),
    (Kind.LOADING, ("LOADING",)),
    (Kind.FULL_HOUSE, ("max number of clients",)),
    (
        Kind.REFUSED,
        ("refused", "No such file", "Name or service", "getaddrinfo", "not known", "unreachable"),
    ),
)


def _speaks_tls(url: str) -> bool:
    """Whether a server that does not understand us answers a TLS handshake instead."""
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
            # It wants a certificate of ours: that, too, is TLS.
            return "ALERT" in str(error).upper()
    return False


def _speaks_plainly(url: str) -> bool:
    """Whether a server waits in vain for the end of what it takes our TLS for."""
    parts = urlsplit(url)
    if parts.scheme != "rediss" or not parts.hostname:
        return False
    address = (parts.hostname, parts.port or 6379)
    with suppress(OSError), socket.create_connection(address, TIMEOUT_S) as plain:
        plain.sendall(b"PING\r\n")
        return plain.recv(1) in (b"+", b"-")
    return False


def address_of(url: str) -> str:
    """The address without what is secret in it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
