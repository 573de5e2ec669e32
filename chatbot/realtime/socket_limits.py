"""Limits of WebSockets by address and by session, in one process. They ask neither SQL nor Redis."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from werkzeug.wrappers import Request

from chatbot.core.limits import address_key
from config import Settings

WINDOW_S = 60.0


class SocketLimits:
    """Sockets that are open or being opened, and the handshakes of the current minute."""

    def __init__(self, settings: Settings, cookie_name: str) -> None:
        self._settings = settings
        self._cookie_name = cookie_name
        self._open: Counter[str] = Counter()
        self._handshakes: Counter[str] = Counter()
        self._window_began_at = 0.0

    @contextmanager
    def admit(self, environ: dict[str, Any], now: float) -> Iterator[bool]:
        """Count a handshake, and its socket while the block runs; yield whether it is within the limits."""
        address = self._read_address(environ)
        cookie = Request(environ).cookies.get(self._cookie_name, "")
        # A stranger's cookie is any text, so its length is bounded.
        limits = {f"address:{address}": self._settings.live_sockets_per_address}
        if cookie:
            limits[f"session:{cookie[:100]}"] = self._settings.live_sockets_per_session
        if not self._count_handshake(address, now) or any(
            self._open[name] >= limit for name, limit in limits.items()
        ):
            yield False
            return
        self._open.update(limits.keys())
        try:
            yield True
        finally:
            self._open.subtract(limits.keys())
            for name in limits:
                if not self._open[name]:
                    del self._open[name]

    def _count_handshake(self, address: str, now: float) -> bool:
        if now - self._window_began_at >= WINDOW_S:
            self._window_began_at = now
            self._handshakes.clear()
        self._handshakes[address] += 1
        return self._handshakes[address] <= self._settings.live_handshakes_per_minute

    def _read_address(self, environ: dict[str, Any]) -> str:
        """Return the client's address as the trusted proxies report it, as ProxyFix does for pages."""
        hops = self._settings.trusted_proxies
        reported = environ.get("HTTP_X_FORWARDED_FOR", "").split(",")
        is_reported = hops > 0 and len(reported) >= hops
        return address_key(reported[-hops].strip() if is_reported else environ["REMOTE_ADDR"])
