"""SIGTERM, heard inside of an event loop."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from contextlib import suppress
from typing import Any


class told_to_stop:
    """SIGTERM stops the claiming, as long as we are the main thread's loop. Whoever listened before
    us listens again afterwards, and is told what came meanwhile."""

    def __init__(self, action: Callable[[], None]) -> None:
        self._action = action
        self._came = False
        self._before: Any = None
        self._installed = False

    def _on_signal(self) -> None:
        self._came = True
        self._action()

    def __enter__(self) -> None:
        with suppress(ValueError, RuntimeError):
            self._before = signal.getsignal(signal.SIGTERM)
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._on_signal)
            self._installed = True

    def __exit__(self, *_: object) -> None:
        if not self._installed:
            return
        asyncio.get_running_loop().remove_signal_handler(signal.SIGTERM)
        signal.signal(signal.SIGTERM, self._before or signal.SIG_DFL)
        if self._came and callable(self._before):
            self._before(signal.SIGTERM, None)
