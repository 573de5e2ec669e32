"""Rates, keys and storage for Flask-Limiter.

The storage is Redis, or this process's memory while Redis is away. Memory is per process, so a limit is
divided by the number of web processes: together they grant about as much as Redis would, and a flood still
ends in 429. A check is one round trip, whose answer also has the values of the rate-limit headers.
"""

from __future__ import annotations

import math
import time
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any

from flask import Flask, current_app, g, request, session
from limits.storage import MemoryStorage, Storage
from redis.exceptions import RedisError

from chatbot.core.redis import key
from chatbot.core.sessions import STATELESS_PATHS, USER_KEY

READ_RATE = "600 per minute"
WRITE_RATE = "120 per minute"
IPV6_PREFIX_BITS = 64  # a host controls its whole /64, not one address

# KEYS: the counter. ARGV: the window in seconds, the amount. Returns the count and the milliseconds left in
# the window. A key of another type or without a TTL is started anew.
_COUNT_LUA = """
local count = redis.pcall('INCRBY', KEYS[1], ARGV[2])
local rest = redis.call('PTTL', KEYS[1])
if type(count) == 'table' or rest < 0 then
  redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[1])
  return {tonumber(ARGV[2]), ARGV[1] * 1000}
end
return {count, rest}
"""


@dataclass(frozen=True, slots=True)
class RateWindow:
    """Requests counted in the current window, and the seconds until the next one."""

    count: int
    resets_in_s: int


@dataclass(frozen=True, slots=True)
class RateLimits:
    """Script, client, memory and number of web processes of one application."""

    count: Any
    client: Any
    memory: MemoryStorage
    processes: int


def init_rate_limits(app: Flask, client: Any, processes: int) -> None:
    count = client.register_script(_COUNT_LUA.encode())
    app.extensions["prosa_rate_limits"] = RateLimits(count, client, MemoryStorage(), processes)


class ResilientStorage(Storage):
    """Storage for fixed windows that keeps nothing itself: what it uses belongs to the current application.

    So one `Limiter` at module level serves several applications in a process, each on its own Redis.
    """

    STORAGE_SCHEME = ["prosa"]
    base_exceptions = RedisError

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        window = _count(_rate_limits(), _redis_key(key), expiry, amount)
        g.rate_window = window
        return window.count

    def get(self, key: str) -> int:
        try:
            return int(_rate_limits().client.get(_redis_key(key)) or 0)
        except (RedisError, ValueError):
            return _rate_limits().memory.get(_redis_key(key))

    def get_expiry(self, key: str) -> float:
        try:
            return time.time() + max(0, int(_rate_limits().client.ttl(_redis_key(key))))
        except RedisError:
            return _rate_limits().memory.get_expiry(_redis_key(key))

    def clear(self, key: str) -> None:
        _rate_limits().memory.clear(_redis_key(key))
        with suppress(RedisError):
            _rate_limits().client.unlink(_redis_key(key))

    def check(self) -> bool:
        """Return True always, so that Flask-Limiter does not switch to its own fallback."""
        return True

    def reset(self) -> int | None:
        """Raise NotImplementedError: it would need KEYS."""
        raise NotImplementedError


def _count(limits: RateLimits, name: str, expiry: int, amount: int) -> RateWindow:
    try:
        count, rest_ms = limits.count([name], [expiry, amount])
        return RateWindow(int(count), math.ceil(int(rest_ms) / 1000))
    except RedisError:
        memory = limits.memory
        count = memory.incr(name, expiry, amount * limits.processes)
        return RateWindow(count, math.ceil(memory.get_expiry(name) - time.time()))


def _rate_limits() -> RateLimits:
    found: RateLimits = current_app.extensions["prosa_rate_limits"]
    return found


def _redis_key(name: str) -> str:
    return key("limit", "fixed", name)


def get_rate_window() -> RateWindow | None:
    """Return the window of this request's check; None if the request was not counted."""
    found: RateWindow | None = g.get("rate_window")
    return found


def get_default_rate() -> str:
    """Return the limit of a request whose route has none of its own; reads get more than writes."""
    return READ_RATE if request.method in ("GET", "HEAD", "OPTIONS") else WRITE_RATE


def is_machine_request() -> bool:
    """Return whether it is not counted: Meta would only retry, and monitoring must work under load."""
    return request.path.startswith(STATELESS_PATHS)


def rate_limit_key() -> str:
    """Return the user of the session, else the address, as trusted proxies report it (`init_access`)."""
    user_key = str(session.get(USER_KEY, ""))
    return f"user:{user_key.partition(':')[0]}" if user_key else address_key(request.remote_addr)


def address_key(address: str | None) -> str:
    """Return the rate-limit key of an address: the IPv4 address, or the /64 of an IPv6 address."""
    try:
        found = ip_address(address or "")
    except ValueError:
        return "unknown"
    if isinstance(found, IPv6Address) and found.ipv4_mapped is None:
        return str(ip_network((found, IPV6_PREFIX_BITS), strict=False))
    return str(getattr(found, "ipv4_mapped", None) or found)
