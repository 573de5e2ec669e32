"""Threads as the customers see them, and the time of the last inbound message."""

import asyncio
import time
from enum import StrEnum

import msgspec

from chatbot.simulator.webhooks.payloads import StatusName

TYPING_S = 25.0  # Meta (typing indicators): shown for up to 25 s or until the answer arrives


class Direction(StrEnum):
    """Direction of a message as the business sees it, like everywhere in Prosa."""

    INBOUND = "inbound"
    OUTBOUND = "outbound"


class InboundState(StrEnum):
    """State that the customer sees: one tick, two ticks, two blue ticks."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    READ = "read"


class StatusChange(msgspec.Struct):
    status: str
    at: float


class ThreadMessage(msgspec.Struct):
    """Message of a thread; `content` is the JSON of the API request or of the webhook."""

    id: str
    direction: Direction
    at: float
    content: msgspec.Raw
    version: int
    status: str
    statuses: list[StatusChange]
    callback: str = ""
    code: int = 0


class Thread(msgspec.Struct):
    name: str = ""
    messages: list[ThreadMessage] = []
    last_inbound_at: float = 0.0
    typing_until: float = 0.0
    version: int = 0
    waiters: set[asyncio.Future[None]] = set()


# A late status never moves a message back.
_STATUS_RANK = {"accepted": 0, "sent": 1, "delivered": 2, "read": 3, "failed": 4}


class Threads:
    """Threads by user key; a version counts changes, so that a page can ask for new ones only."""

    def __init__(self) -> None:
        self._threads: dict[str, Thread] = {}
        self._by_wamid: dict[str, tuple[Thread, ThreadMessage]] = {}
        self._version = 0

    def thread(self, wa_id: str) -> Thread:
        thread = self._threads.get(wa_id)
        if thread is None:
            thread = self._threads[wa_id] = Thread()
        return thread

    def has_message(self, wamid: str) -> bool:
        return wamid in self._by_wamid

    def add_outbound(self, key: str, wamid: str, raw: bytes, callback: str, at: float) -> None:
        thread = self.thread(key)
        thread.typing_until = 0.0
        content = msgspec.Raw(raw)
        self._add(thread, wamid, Direction.OUTBOUND, content, "accepted", at, callback)

    def add_inbound(
        self, wa_id: str, wamid: str, content: dict[str, object], *, name: str, at: float
    ) -> None:
        thread = self.thread(wa_id)
        thread.name = name
        thread.last_inbound_at = max(thread.last_inbound_at, at)
        raw = msgspec.Raw(msgspec.json.encode(content))
        self._add(thread, wamid, Direction.INBOUND, raw, InboundState.WAITING, at)

    def mark_outbound(self, wamid: str, status: StatusName, code: int) -> None:
        found = self._by_wamid.get(wamid)
        if found is None:
            return
        thread, message = found
        message.statuses.append(StatusChange(status, time.time()))
        if _STATUS_RANK[status] >= _STATUS_RANK[message.status]:
            message.status, message.code = status, code
        self._mark_changed(thread, message)

    def mark_inbound(self, wamid: str, state: InboundState) -> None:
        found = self._by_wamid.get(wamid)
        if found and found[1].status != InboundState.READ:
            thread, message = found
            message.status = state
            self._mark_changed(thread, message)

    def mark_read_by_business(self, wamid: str, *, typing: bool) -> None:
        """Mark a message and the earlier ones as read, as Meta does, and show typing if asked."""
        found = self._by_wamid.get(wamid)
        if found is None:
            return
        thread, _ = found
        for message in thread.messages:
            if message.direction is Direction.INBOUND:
                self.mark_inbound(message.id, InboundState.READ)
            if message.id == wamid:
                break
        if typing:
            thread.typing_until = time.time() + TYPING_S
            self._wake(thread)

    def list_unread(self, wa_id: str) -> list[ThreadMessage]:
        """Return the outbound messages that were delivered and are not read yet."""
        return [
            message for message in self.thread(wa_id).messages
            if message.direction is Direction.OUTBOUND
            and message.status == StatusName.DELIVERED
        ]  # fmt: skip

    def wake_all(self) -> None:
        """Answer every waiting long poll, because the threads are about to be deleted."""
        for thread in self._threads.values():
            self._wake(thread)

    async def wait(self, wa_id: str, since: int, seconds: float) -> None:
        """Wait until the thread's version differs from `since`, at most `seconds`."""
        thread = self.thread(wa_id)
        if thread.version != since or seconds <= 0:  # the version is smaller after a reset
            return
        future = asyncio.get_running_loop().create_future()
        thread.waiters.add(future)
        try:
            await asyncio.wait([future], timeout=seconds)
        finally:
            thread.waiters.discard(future)

    def _add(
        self, thread: Thread, wamid: str, direction: Direction, raw: msgspec.Raw, status: str,
        at: float, callback: str = "",
    ) -> None:  # fmt: skip
        message = ThreadMessage(wamid, direction, at, raw, 0, status, [], callback)
        thread.messages.append(message)
        self._by_wamid[wamid] = (thread, message)
        self._mark_changed(thread, message)

    def _mark_changed(self, thread: Thread, message: ThreadMessage) -> None:
        self._wake(thread)
        message.version = thread.version

    def _wake(self, thread: Thread) -> None:
        self._version += 1
        thread.version = self._version
        for future in thread.waiters:
            if not future.done():
                future.set_result(None)
