"""Shared connection pool of a process, and clients with a connection of their own.

Some defaults of redis-py 8 do not suit a web process and are changed here: ten retries of five seconds
each, RESP3 (with which a connection with an unread reply is handed out again) and four handshakes.
"""

from __future__ import annotations

import os
import weakref
from typing import TYPE_CHECKING, Any

import redis
from redis.backoff import NoBackoff
from redis.connection import (
    AbstractConnection,
    BlockingConnectionPool,
    Connection,
    ConnectionPool,
    SSLConnection,
    UnixDomainSocketConnection,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError, TimeoutError
from redis.retry import Retry

from chatbot.core.redis.address import (
    SentinelConnection,
    SentinelSSLConnection,
    connection_options,
    sentinel_pools,
)
from chatbot.core.redis.breaker import REFUSAL_PREFIXES, Breaker, DisabledBreaker
from chatbot.core.redis.keys import key, ttl

if TYPE_CHECKING:
    _ConnectionBase = AbstractConnection
else:
    _ConnectionBase = object

TIMEOUT_S = 0.5
# How long a caller waits when all connections are in use (a command takes a fraction of a millisecond).
# After that it goes on without Redis, and the breaker stays closed.
POOL_WAIT_S = 0.2

_pools: weakref.WeakSet[ConnectionPool] = weakref.WeakSet()


class BreakerConnection(_ConnectionBase):
    """Connection that trips the breaker when Redis is unreachable, hangs or refuses writes.

    A connection that the server closed while it was idle is no outage: the one retry reconnects it.
    """

    def __init__(self, *args: Any, breaker: Breaker, **kwargs: Any) -> None:
        self._breaker = breaker
        super().__init__(*args, **kwargs)

    def connect(self) -> None:
        try:
            super().connect()
        except (RedisConnectionError, TimeoutError, ResponseError, OSError) as error:
            self._breaker.trip(error)
            raise

    def on_connect_check_health(self, check_health: bool = True) -> None:
        """Check health and read the id of the Redis process: a new process may have lost data."""
        super().on_connect_check_health(check_health)
        self.send_command("INFO", "server")
        try:
            info = super().read_response()
        except ResponseError:  # not allowed for this user: then only the breaker notices a restart
            info = b""
        self._breaker.server_id = _run_id(info)

    def read_response(self, *args: Any, **kwargs: Any) -> Any:
        self._breaker.commands += 1
        try:
            return super().read_response(*args, **kwargs)
        except TimeoutError as error:
            self._breaker.trip(error)
            raise
        except (ResponseError, RedisConnectionError) as error:
            if (
                str(error).startswith(REFUSAL_PREFIXES)
                or type(error).__name__ in _REFUSAL_ERROR_NAMES
            ):
                # After a failover this may be a socket to the demoted primary.
                self.mark_for_reconnect()
                self._breaker.trip(error)
            raise

    def send_packed_command(self, *args: Any, **kwargs: Any) -> None:
        try:
            super().send_packed_command(*args, **kwargs)
        except TimeoutError as error:
            self._breaker.trip(error)
            raise


def _run_id(info: Any) -> str:
    lines = info.decode("ascii", "replace").splitlines() if isinstance(info, bytes) else ()
    return next((line[7:] for line in lines if line.startswith("run_id:")), "")


# redis-py turns some refusals into classes of their own and drops the code from the message.
_REFUSAL_ERROR_NAMES = frozenset(
    {
        "ReadOnlyError",
        "BusyLoadingError",
        "AuthenticationError",
        "MasterDownError",
        "ClusterDownError",
        "OutOfMemoryError",
    }
)
_BREAKER_CLASSES: dict[type[Any], type[Any]] = {
    base: type(f"Breaking{base.__name__}", (BreakerConnection, base), {})
    for base in (
        Connection,
        SSLConnection,
        UnixDomainSocketConnection,
        SentinelConnection,
        SentinelSSLConnection,
    )
}


class BreakerPool(BlockingConnectionPool):
    """Pool that gives no connection while the breaker is open."""

    breaker: Breaker

    def get_connection(self, command_name: Any = None, *keys: Any, **options: Any) -> Any:
        self.breaker.check()
        return super().get_connection()


def create_pool(url: str | None, *, max_connections: int, name: str = "web") -> BreakerPool:
    """Return the shared pool for `url`; for None, one whose breaker is always open."""
    if url is None:
        pool = BreakerPool(max_connections=1)
        pool.breaker = DisabledBreaker("Redis is switched off")
        return pool
    options = _options(url, name)
    direct = redis.Redis(connection_pool=ConnectionPool(**options))

    def probe() -> None:
        # Idle sockets may lead to a server that is no longer the primary, and they count for the server's
        # limit of connections. Nobody gets one while the breaker is open.
        pool.disconnect(inuse_connections=False)
        direct.set(
            key("probe"), "1", ex=ttl("probe")
        )  # a replica or a full server would answer PING

    breaker = Breaker(direct, probe)
    options["connection_class"] = _BREAKER_CLASSES[options["connection_class"]]
    pool = BreakerPool(
        max_connections=max_connections, timeout=POOL_WAIT_S, breaker=breaker, **options
    )
    pool.breaker = breaker
    # Those that were in use at the probe.
    breaker.on_recovery.append(lambda _direct: pool.disconnect(inuse_connections=False))
    _pools.update((pool, direct.connection_pool, *sentinel_pools(options)))
    return pool


def create_blocking_client(
    url: str, name: str, *, timeout_s: float, breaker: Breaker | None = None
) -> redis.Redis:
    """Return a client with its own connection, for blocking reads (RQ workers, Pub/Sub).

    `timeout_s` is the longest time that a command may take. With a `breaker` the client trips it and
    obeys it like the shared pool.
    """
    options = _options(url, name) | {"socket_timeout": timeout_s, "socket_connect_timeout": 2}
    pool: ConnectionPool
    if breaker is None:
        pool = ConnectionPool(**options)
    else:
        options["connection_class"] = _BREAKER_CLASSES[options["connection_class"]]
        pool = BreakerPool(max_connections=2, timeout=POOL_WAIT_S, breaker=breaker, **options)
        pool.breaker = breaker
    _pools.update((pool, *sentinel_pools(options)))
    return redis.Redis(connection_pool=pool)


def _options(url: str, name: str) -> dict[str, Any]:
    defaults = {
        "protocol": 2,
        "driver_info": None,
        "decode_responses": False,
        "socket_timeout": TIMEOUT_S,
        "socket_connect_timeout": TIMEOUT_S,
        # No retry after a timeout: the command may have run, and INCR or RPUSH would run twice.
        "retry": Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),
        "client_name": f"prosa-{name}",
    }
    return defaults | connection_options(url)


def _reset_after_fork() -> None:
    """Replace the pools' locks in a child: a thread of the parent may have held them at the fork."""
    for pool in _pools:
        pool._lock = type(pool._lock)()
        pool._fork_lock = type(pool._fork_lock)()
        pool.reset()
        if isinstance(pool, BreakerPool):
            pool.breaker.reset_lock()


os.register_at_fork(after_in_child=_reset_after_fork)
