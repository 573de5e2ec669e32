"""Read receipts and typing indicators, sent by a background thread.

Best effort: what is not sent when the process ends is lost, and nothing depends on it.
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
from chatbot.channels.whatsapp.payloads import render_read_receipt
from chatbot.extensions import get_settings

log = logging.getLogger(__name__)

MAX_QUEUED = 500  # more read receipts are dropped: messages matter more
MAX_CONCURRENT = 16
TIMEOUT_S = 5.0
IDLE_S = 30.0  # the thread ends after this time without work

ReadReceipt = tuple[str, str, bool]  # address, wamid, typing


class ReadReceiptSender:
    def __init__(self, token: str) -> None:
        self._headers = {"Authorization": f"Bearer {token}"}
        self._queue: queue.Queue[ReadReceipt] = queue.Queue(MAX_QUEUED)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def put(self, read_receipt: ReadReceipt) -> None:
        with suppress(queue.Full):
            self._queue.put_nowait(read_receipt)
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="read-receipts", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while (batch := self._next_batch()) is not None:
            try:
                asyncio.run(self._send(batch))
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                log.debug("%d read receipts not sent: %s", len(batch), error)

    def _next_batch(self) -> list[ReadReceipt] | None:
        """Return queued receipts, or None when the thread must end; put() then starts another."""
        try:
            batch = [self._queue.get(timeout=IDLE_S)]
        except queue.Empty:
            with self._lock:
                if self._queue.empty():
                    self._thread = None
                    return None
            return []
        with suppress(queue.Empty):
            while len(batch) < MAX_CONCURRENT:
                batch.append(self._queue.get_nowait())
        return batch

    async def _send(self, batch: Sequence[ReadReceipt]) -> None:
        async with make_session(MAX_CONCURRENT, self._headers, TIMEOUT_S) as http:

            async def post(url: str, wamid: str, typing: bool) -> None:
                async with http.post(url, json=render_read_receipt(wamid, typing=typing)) as answer:
                    await answer.read()

            await asyncio.gather(
                *(post(*read_receipt) for read_receipt in batch), return_exceptions=True
            )


def queue_read_receipt(phone_number_id: str, wamid: str, *, typing: bool = False) -> None:
    """Mark a contact's message, and those before it, as read. Returns at once and never fails."""
    url = f"{get_settings(current_app).whatsapp_api_url}/{phone_number_id}/messages"
    _get_sender().put((url, wamid, typing))


def _get_sender() -> ReadReceiptSender:
    """Return the sender of this process and application."""
    extensions = current_app.extensions
    if "prosa_read_receipts" not in extensions:
        extensions["prosa_read_receipts"] = ReadReceiptSender(
            get_settings(current_app).whatsapp_token
        )
    found: ReadReceiptSender = extensions["prosa_read_receipts"]
    return found
