"""WebSockets of one process: each live event is sent to the sockets that watch its topic.

Everything runs in the event loop. Each socket has a short queue of its own, so a slow one blocks no other;
a socket whose queue is full is dropped, and its page reconnects and refreshes.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable
from functools import cache

import msgspec

from chatbot.core.live_events import LiveEvent, LiveEventKind
from chatbot.realtime.clients import ConnectedClient

QUEUE_SIZE = 64
COALESCE_S = 0.1  # a campaign publishes hundreds of events a second about the same object
MAX_SOCKETS = 8000  # per process, if its limit of open files allows; 36 KB each

Topic = tuple[LiveEventKind, int | None]
_encode = msgspec.json.Encoder().encode


class ClientSocket:
    """Socket of a page and the topics that it watches; `(kind, None)` is every object of a kind."""

    def __init__(self, client: ConnectedClient, topics: Iterable[Topic], now: float) -> None:
        self.client = client
        self._ids: dict[LiveEventKind, set[int | None]] = defaultdict(set)
        for kind, object_id in topics:
            self._ids[kind].add(object_id)
        self.last_heard_at = now
        self.queue: asyncio.Queue[str] = asyncio.Queue(QUEUE_SIZE)
        self.closed = asyncio.Event()
        self.close_code = 0

    def matching_ids(self, kind: LiveEventKind, changed: set[int | None]) -> set[int | None]:
        """Return the changed ids to send, or {None} once if the page watches all or all changed."""
        watched = self._ids.get(kind)
        if not watched or not self.client.may_receive(kind):
            return set()
        return {None} if None in watched or None in changed else watched & changed

    def enqueue(self, text: str) -> bool:
        """Queue a text, or return False if the queue is full."""
        try:
            self.queue.put_nowait(text)
        except asyncio.QueueFull:
            return False
        return True

    def close(self, close_code: int = 0) -> None:
        """Close the socket with a code; 0 drops it without one, for a client that no longer reads."""
        self.close_code = close_code
        self.closed.set()


class Hub:
    def __init__(self) -> None:
        self.sockets: set[ClientSocket] = set()
        self.counts: Counter[str] = Counter()
        self.is_live = False
        self._epoch, self._seq = "", 0
        self._pending: dict[LiveEventKind, set[int | None]] = defaultdict(set)
        self._has_gap = False
        self._timer: asyncio.TimerHandle | None = None
        self._flushed_at = -COALESCE_S

    @property
    def position(self) -> str:
        """Position (`epoch/seq`) of the last event received; empty while disconnected."""
        return f"{self._epoch}/{self._seq}" if self.is_live and self._epoch else ""

    # --- called by the listener ---

    def on_subscribed(self, epoch: str, seq: int) -> None:
        """Handle a new subscription; events from before it may have been missed."""
        has_changed = not self.is_live or (epoch, seq) != (self._epoch, self._seq)
        self._epoch, self._seq, self.is_live = epoch, seq, True
        if has_changed:
            self._mark_gap()

    def on_disconnected(self) -> None:
        """Handle the loss of the subscription; pages poll until it is back."""
        if self.is_live:
            self.is_live = False
            self._clear_pending()
            self._broadcast("away")

    def on_event(self, event: LiveEvent) -> None:
        is_next = event.epoch == self._epoch and event.seq <= self._seq + 1
        if event.epoch != self._epoch or event.seq > self._seq:
            self._epoch, self._seq = event.epoch, event.seq
        self.counts["hints"] += 1
        self._pending[event.kind].add(event.id)
        if is_next:
            self._schedule_flush()
        else:
            self._mark_gap()

    def on_invalid_message(self) -> None:
        """Handle an unreadable message as a gap: all pages refresh."""
        self.counts["garbage"] += 1
        self._mark_gap()

    def _mark_gap(self) -> None:
        self._has_gap = True
        self._schedule_flush()

    def _schedule_flush(self) -> None:
        if not self.sockets:
            self._clear_pending()
        elif self._timer is None:
            # Immediate after a pause; events of a burst are sent together.
            loop = asyncio.get_running_loop()
            at = max(loop.time(), self._flushed_at + COALESCE_S)
            self._timer = loop.call_at(at, self._flush)

    def _clear_pending(self) -> None:
        self._pending.clear()
        self._has_gap = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _flush(self) -> None:
        pending, has_gap = dict(self._pending), self._has_gap
        self._timer, self._flushed_at = None, asyncio.get_running_loop().time()
        self._clear_pending()
        if has_gap:
            self._broadcast("all")
            return
        message = cache(self._encode_message)  # encode each text once for all sockets
        for kind, changed in pending.items():
            for socket in self.sockets:
                for object_id in socket.matching_ids(kind, changed):
                    self._send(socket, message(kind.value, object_id))

    # --- sockets ---

    def add(self, socket: ClientSocket) -> None:
        self.sockets.add(socket)
        socket.enqueue(self._encode_message("hello"))

    def remove(self, socket: ClientSocket) -> None:
        self.sockets.discard(socket)

    def send_heartbeat(self, now: float, silence_s: float) -> None:
        """Send a heartbeat to every page; drop sockets that have been silent for `silence_s` seconds."""
        for socket in self.sockets:
            if now - socket.last_heard_at > silence_s:
                self.counts["silent"] += 1
                socket.close()
        self._broadcast("beat")

    def _broadcast(self, kind: str) -> None:
        text = self._encode_message(kind)
        for socket in self.sockets:
            self._send(socket, text)

    def _send(self, socket: ClientSocket, text: str) -> None:
        if not socket.enqueue(text) and not socket.closed.is_set():
            self.counts["slow"] += 1
            socket.close()

    def _encode_message(self, kind: str, object_id: int | None = None) -> str:
        """Encode a message; `at` is the page's position after it."""
        return _encode({"kind": kind, "id": object_id, "at": self.position}).decode()
