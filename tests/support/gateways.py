"""Gateway with scripted answers, for tests of the sender."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

from chatbot.channels.gateway import Accepted, GatewayAnswer

Script = Callable[[Mapping[str, Any]], GatewayAnswer]
_numbers = itertools.count(1)


def accept(body: Mapping[str, Any]) -> GatewayAnswer:
    return Accepted(f"wamid.out{next(_numbers)}", body.get("to"))


class ScriptedGateway:
    """Gateway that records every body with its monotonic time; `script` gives the answers."""

    def __init__(self, script: Script = accept, latency_s: float = 0.0) -> None:
        self._script = script
        self._latency_s = latency_s
        self.sent: list[Mapping[str, Any]] = []
        self.times: list[float] = []
        self.is_open = False

    async def __aenter__(self) -> Self:
        self.is_open = True
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.is_open = False

    async def send(self, body: Mapping[str, Any]) -> GatewayAnswer:
        assert self.is_open, "sent on a closed connection"
        self.sent.append(body)
        self.times.append(time.monotonic())
        await asyncio.sleep(self._latency_s)
        return self._script(body)

    @property
    def callbacks(self) -> list[str]:
        """Return the callback ids of all bodies, without the installation's id."""
        return [str(body["biz_opaque_callback_data"]).rpartition(":")[0] for body in self.sent]
