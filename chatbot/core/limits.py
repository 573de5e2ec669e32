"""Storage of Flask-Limiter: Redis, or this process's memory while Redis is away.

Memory is per process, so a limit is divided by the number of web processes: together they grant about as
much as Redis would, and a flood still ends in 429. A check is one round trip, whose answer also has the
values of the rate-limit headers.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any

from flask import g
from limits.storage import MemoryStorage, RedisStorage
from redis.exceptions import RedisError

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


class ResilientRedisStorage(RedisStorage):
    """Storage for fixed windows, selected by the scheme of the storage URI."""

    STORAGE_SCHEME = ["redis+resilient"]

    def __init__(self, uri: str, *, processes: int = 1, **options: Any) -> None:
        super().__init__("redis://", **options)
        self._memory = MemoryStorage()
        self._processes = processes
        self._count: Any = self.get_connection().register_script(_COUNT_LUA.encode())

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        window = self._hit(key, expiry, amount)
        g.rate_window = window
        return window.count

    def _hit(self, key: str, expiry: int, amount: int) -> RateWindow:
        try:
            count, rest_ms = self._count([self.prefixed_key(key)], [expiry, amount])
            return RateWindow(int(count), math.ceil(int(rest_ms) / 1000))
        except RedisError:
            count = self._memory.incr(key, expiry, amount * self._processes)
            return RateWindow(count, math.ceil(self._memory.get_expiry(key) - time.time()))

    def check(self) -> bool:
        """Return True always, so that Flask-Limiter does not switch to its own fallback."""
        return True


def get_rate_window() -> RateWindow | None:
    """Return the window of this request's check; None if the request was not counted."""
    found: RateWindow | None = g.get("rate_window")
    return found


def address_key(address: str | None) -> str:
    """Return the rate-limit key of an address: the IPv4 address, or the /64 of an IPv6 address."""
    try:
        found = ip_address(address or "")
    except ValueError:
        return "unknown"
    if isinstance(found, IPv6Address) and found.ipv4_mapped is None:
        return str(ip_network((found, IPV6_PREFIX_BITS), strict=False))
    return str(getattr(found, "ipv4_mapped", None) or found)
