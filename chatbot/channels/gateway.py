"""Interface for sending a message through a provider, and the provider's possible answers."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Protocol, Self

import msgspec


class Accepted(msgspec.Struct, frozen=True):
    """Acceptance of the message by the provider. `wa_id` is its id of the recipient, if given."""

    wamid: str
    wa_id: str | None = None


class Refused(msgspec.Struct, frozen=True):
    """Refusal by the provider, with its own code and text: the message was certainly not accepted."""

    code: int
    detail: str
    status: int = 400
    retry_after_s: float | None = None


class Unreachable(msgspec.Struct, frozen=True):
    """Failure to connect: the message was certainly not sent."""

    reason: str


class Doubtful(msgspec.Struct, frozen=True):
    """Unknown outcome: a timeout, a reset after the first byte, or an unreadable answer."""

    reason: str


GatewayAnswer = Accepted | Refused | Unreachable | Doubtful


class Gateway(Protocol):
    """Sender of one channel. An async context manager, used from one event loop."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    async def send(self, body: Mapping[str, Any]) -> GatewayAnswer:
        """Send one message. Never raises for errors of the network or the provider."""
        ...
