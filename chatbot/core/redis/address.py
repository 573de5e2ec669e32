"""What REDIS_URL says, in redis-py's words: a server, a socket, or a primary that Sentinels know.

`redis+sentinel://[user:password@]host:26379,host:26379/primary/db`: user and password are those of
the server (and of the Sentinels, unless `?sentinel_username=` and `?sentinel_password=` say otherwise).
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
# A Sentinel that hangs is asked before the next one is, by whoever connects: it must be short.
SENTINEL_TIMEOUT_S = 0.2

FindPrimary = Callable[[], tuple[str, int]]


class SentinelConnection(Connection):
    """To whichever server the Sentinels call the primary at the moment of connecting."""

    def __init__(self, *, find_primary: FindPrimary, **options: Any) -> None:
        self._find_primary = find_primary
        super().__init__(**options)

    def _connect(self) -> Any:
        self.host, self.port = self._find_primary()
        return super()._connect()


class SentinelSSLConnection(SentinelConnection, SSLConnection):
    """The same over TLS."""


def connection_options(url: str) -> dict[str, Any]:
    """Keyword arguments of a ConnectionPool, `connection_class` among them."""
    scheme = url.partition("://")[0]
    if scheme.endswith("+sentinel"):
        return _sentinel_options(url, is_tls=scheme.startswith("rediss"))
    return {"connection_class": Connection, **parse_url(url)}


def sentinel_pools(options: dict[str, Any]) -> list[ConnectionPool]:
    """The pools by which Sentinels are asked: a fork must reset them too."""
    owner = getattr(options.get("find_primary"), "__self__", None)
    return [client.connection_pool for client in owner.sentinels] if owner else []


class PrimaryFinder(Sentinel):
    """Asks the Sentinels where one primary is."""

    primary: str

    def find_primary(self) -> tuple[str, int]:
        """Host and port.

        Raises:
            MasterNotFoundError: a ConnectionError; no Sentinel answers, or none knows a primary.
        """
        host, port = self.discover_master(self.primary)
        return host, int(port)


def _sentinel_options(url: str, *, is_tls: bool) -> dict[str, Any]:
    parts = urlsplit(url)
    credentials, _, hosts = parts.netloc.rpartition("@")
    username, _, password = credentials.partition(":")
    primary, _, database = parts.path.strip("/").partition("/")
    # parse_url knows how to read what stands behind the question mark.
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
