"""Parsing of REDIS_URL into redis-py's options: a server, a socket, or a primary found by Sentinels.

`redis+sentinel://[user:password@]host:26379,host:26379/primary/db`: user and password are those of the
server (and of the Sentinels, unless `?sentinel_username=` and `?sentinel_password=` are given).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import unquote, urlsplit

from redis.backoff import NoBackoff
from redis.connection import Connection, ConnectionPool, SSLConnection, parse_url
from redis.retry import Retry
from redis.sentinel import Sentinel

SENTINEL_PORT = 26379
# Short, since a connecting caller waits for a Sentinel that hangs before it asks the next one.
SENTINEL_TIMEOUT_S = 0.2

FindPrimary = Callable[[], tuple[str, int]]


class SentinelConnection(Connection):
    """Connection to the server that the Sentinels name as primary when it connects."""

    def __init__(self, *, find_primary: FindPrimary, **options: Any) -> None:
        self._find_primary = find_primary
        super().__init__(**options)

    def _connect(self) -> Any:
        self.host, self.port = self._find_primary()
        return super()._connect()


class SentinelSSLConnection(SentinelConnection, SSLConnection):
    """TLS connection to the primary that the Sentinels name."""


def connection_options(url: str) -> dict[str, Any]:
    """Return the keyword arguments of a ConnectionPool, including `connection_class`."""
    scheme = url.partition("://")[0]
    if scheme.endswith("+sentinel"):
        return _sentinel_options(url, is_tls=scheme.startswith("rediss"))
    return {"connection_class": Connection, **parse_url(url)}


def sentinel_pools(options: dict[str, Any]) -> list[ConnectionPool]:
    """Return the pools of the Sentinel clients, which must be reset after a fork too."""
    owner = getattr(options.get("find_primary"), "__self__", None)
    return [client.connection_pool for client in owner.sentinels] if owner else []


class PrimaryFinder(Sentinel):
    """Sentinel client for one primary."""

    primary: str

    def find_primary(self) -> tuple[str, int]:
        """Return host and port of the primary.

        Raises:
            MasterNotFoundError: no Sentinel answers or knows a primary; it is a ConnectionError.
        """
        host, port = self.discover_master(self.primary)
        return host, int(port)


def _sentinel_options(url: str, *, is_tls: bool) -> dict[str, Any]:
    parts = urlsplit(url)
    credentials, _, hosts = parts.netloc.rpartition("@")
    username, _, password = credentials.partition(":")
    primary, _, database = parts.path.strip("/").partition("/")
    # parse_url also converts the types of the query's options.
    query_options = parse_url(f"{'rediss' if is_tls else 'redis'}://h?{parts.query}")
    sentinel_credentials = {
        name: query_options.pop(f"sentinel_{name}", None) for name in ("username", "password")
    }
    server_credentials = {
        "username": unquote(username) or None,
        "password": unquote(password) or None,
    }
    tls = {name: value for name, value in query_options.items() if name.startswith("ssl_")}
    finder = PrimaryFinder(
        [_parse_host(host) for host in hosts.split(",")],
        sentinel_kwargs={
            "socket_timeout": SENTINEL_TIMEOUT_S,
            "socket_connect_timeout": SENTINEL_TIMEOUT_S,
            "protocol": 2,
            "driver_info": None,
            "retry": Retry(NoBackoff(), 0),
            **(sentinel_credentials if sentinel_credentials["password"] else server_credentials),
            **({"ssl": True, **tls} if is_tls else {}),
        },
    )
    finder.primary = unquote(primary)
    return {
        **server_credentials,
        "db": int(database or 0),
        **{
            name: value
            for name, value in query_options.items()
            if name not in ("host", "connection_class")
        },
        "connection_class": SentinelSSLConnection if is_tls else SentinelConnection,
        "find_primary": finder.find_primary,
    }


def _parse_host(text: str) -> tuple[str, int]:
    parts = urlsplit(f"//{text}")
    return parts.hostname or "", parts.port or SENTINEL_PORT
