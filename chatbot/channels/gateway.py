"""The way out, as the rest of Prosa sees it: hand over one message, learn what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Protocol, Self

import msgspec


class Accepted(msgspec.Struct, frozen=True):
    """The provider has the message. `wa_id` is what it calls the recipient, if it said so."""

    wamid: str
    wa_id: str | None = None


class Refused(msgspec.Struct, frozen=True):
    """The provider said no, in its own words: the message was certainly not taken."""

    code: int
    detail: str
    status: int = 400
    retry_after_s: float | None = None


class Unreachable(msgspec.Struct, frozen=True):
    """No connection came about: the message certainly never left us."""

    reason: str


class Doubtful(msgspec.Struct, frozen=True):
    """It may have arrived: a time-out, a reset after the first byte, an answer nobody can read."""

    reason: str


GatewayAnswer = Accepted | Refused | Unreachable | Doubtful


class Gateway(Protocol):
    """Sends from one channel. Used as an async context manager, from one event loop."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    async def send(self, body: Mapping[str, Any]) -> GatewayAnswer:
        """Hand over one message. Never raises for what the network or the provider does."""
        ...
