"""Read receipts and "is typing": best effort, sent by a thread that nobody waits for.

What the thread has not sent when its process ends is lost, and nothing depends on it.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
from collections.abc import Sequence
from contextlib import suppress

import aiohttp
from flask import current_app

from chatbot.channels.whatsapp.client import make_session
from chatbot.channels.whatsapp.payloads import read_request
from chatbot.extensions import settings_of

log = logging.getLogger(__name__)

MOST_WAITING = 500  # beyond that, courtesies are dropped: messages matter more
AT_ONCE = 16
TIMEOUT_S = 5.0
IDLE_S = 30.0  # the thread ends when nothing has come for so long

Courtesy = tuple[str, str, bool]  # address, wamid, typing


class CourtesySender:
    def __init__(self, token: str) -> None:
        self._headers = {"Authorization": f"Bearer {token}"}
        self._waiting: queue.Queue[Courtesy] = queue.Queue(MOST_WAITING)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def put(self, courtesy: Courtesy) -> None:
        with suppress(queue.Full):
            self._waiting.put_nowait(courtesy)
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="courtesy", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while (batch := self._next_batch()) is not None:
            try:
                asyncio.run(self._send(batch))
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                log.debug("%d read receipts not sent: %s", len(batch), error)

    def _next_batch(self) -> list[Courtesy] | None:
        """What waits, or None when the thread is to end; put() then starts another."""
        try:
            batch = [self._waiting.get(timeout=IDLE_S)]
        except queue.Empty:
            with self._lock:
                if self._waiting.empty():
                    self._thread = None
                    return None
            return []
        with suppress(queue.Empty):
            while len(batch) < AT_ONCE:
                batch.append(self._waiting.get_nowait())
        return batch

    async def _send(self, batch: Sequence[Courtesy]) -> None:
        async with make_session(AT_ONCE, self._headers, TIMEOUT_S) as http:

            async def post(url: str, wamid: str, typing: bool) -> None:
                async with http.post(url, json=read_request(wamid, typing=typing)) as answer:
                    await answer.read()

            await asyncio.gather(*(post(*courtesy) for courtesy in batch), return_exceptions=True)


def tell_read(phone_number_id: str, wamid: str, *, typing: bool = False) -> None:
    """Mark a contact's message, and those before it, as read. Returns at once, whatever happens."""
    url = f"{settings_of(current_app).whatsapp_api_url}/{phone_number_id}/messages"
    _sender().put((url, wamid, typing))


def _sender() -> CourtesySender:
    """One a process and application."""
    extensions = current_app.extensions
    if "prosa_courtesy" not in extensions:
        extensions["prosa_courtesy"] = CourtesySender(settings_of(current_app).whatsapp_token)
    found: CourtesySender = extensions["prosa_courtesy"]
    return found
