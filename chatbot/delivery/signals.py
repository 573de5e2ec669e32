"""SIGTERM handling inside an event loop."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from contextlib import suppress
from typing import Any


class StopOnSigterm:
    """Context manager that calls `action` on SIGTERM while the main thread runs an event loop.

    The previous handler is restored at the end, and called if a signal came meanwhile.
    """

    def __init__(self, action: Callable[[], None]) -> None:
        self._action = action
        self._was_signalled = False
        self._previous_handler: Any = None
        self._installed = False

    def _on_signal(self) -> None:
        self._was_signalled = True
        self._action()

    def __enter__(self) -> None:
        with suppress(ValueError, RuntimeError):
            self._previous_handler = signal.getsignal(signal.SIGTERM)
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._on_signal)
            self._installed = True

    def __exit__(self, *_: object) -> None:
        if not self._installed:
            return
        asyncio.get_running_loop().remove_signal_handler(signal.SIGTERM)
        signal.signal(signal.SIGTERM, self._previous_handler or signal.SIG_DFL)
        if self._was_signalled and callable(self._previous_handler):
            self._previous_handler(signal.SIGTERM, None)
