"""The sockets of one process: each hint goes to whoever shows what it is about and may hear of it.

All of it runs in the event loop. Nobody waits for anybody: what a socket is to be told stands in a
short queue of its own, and a socket whose queue is full is dropped; its page comes back and looks again.
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
COALESCE_S = 0.1  # a campaign makes hundreds of hints a second about one thing
MAX_SOCKETS = 4000

Topic = tuple[LiveEventKind, int | None]
_encode = msgspec.json.Encoder().encode


class ClientSocket:
    """What one page listens to; `(kind, None)` is everything of a kind."""

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
        """What to tell of a kind's changes: who watches all of it hears of them once, as of any."""
        watched = self._ids.get(kind)
        if not watched or not self.client.may_receive(kind):
            return set()
        return {None} if None in watched or None in changed else watched & changed

    def enqueue(self, text: str) -> bool:
        """False for a socket that doesn't keep up."""
        try:
            self.queue.put_nowait(text)
        except asyncio.QueueFull:
            return False
        return True

    def close(self, close_code: int = 0) -> None:
        """Close it with a code; 0 drops it, since nobody would read the code."""
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
        """The last hint that this process has heard, as pages keep it; empty while it hears none."""
        return f"{self._epoch}/{self._seq}" if self.is_live and self._epoch else ""

    # --- what the listener reports ---

    def on_subscribed(self, epoch: str, seq: int) -> None:
        """The subscription begins, perhaps again: what was said before it, nobody here has heard."""
        has_changed = not self.is_live or (epoch, seq) != (self._epoch, self._seq)
        self._epoch, self._seq, self.is_live = epoch, seq, True
        if has_changed:
            self._mark_gap()

    def on_disconnected(self) -> None:
        """Pages ask by themselves until it is found again."""
        if self.is_live:
            self.is_live = False
            self._clear_pending()
            self._broadcast("away")

    def on_event(self, hint: LiveEvent) -> None:
        is_next = hint.epoch == self._epoch and hint.seq <= self._seq + 1
        if hint.epoch != self._epoch or hint.seq > self._seq:
            self._epoch, self._seq = hint.epoch, hint.seq
        self.counts["hints"] += 1
        self._pending[hint.kind].add(hint.id)
        if is_next:
            self._schedule_flush()
        else:
            self._mark_gap()

    def on_invalid_message(self) -> None:
        """On our own channel: whatever it was to say, everybody looks."""
        self.counts["garbage"] += 1
        self._mark_gap()

    def _mark_gap(self) -> None:
        self._has_gap = True
        self._schedule_flush()

    def _schedule_flush(self) -> None:
        if not self.sockets:
            self._clear_pending()
        elif self._timer is None:
            # At once after a quiet while; in a burst, together.
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
        message = cache(self._encode_message)  # however many sockets, a text is written once
        for kind, changed in pending.items():
            for socket in self.sockets:
                for object_id in socket.matching_ids(kind, changed):
                    self._send(socket, message(kind.value, object_id))

    # --- what sockets are told ---

    def add(self, socket: ClientSocket) -> None:
        self.sockets.add(socket)
        socket.enqueue(self._encode_message("hello"))

    def remove(self, socket: ClientSocket) -> None:
        self.sockets.discard(socket)

    def send_heartbeat(self, now: float, silence_s: float) -> None:
        """Ask every page whether it is there; drop those that have said nothing for `silence_s`."""
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
        """`at` is where the page stands once it has taken this in."""
        return _encode({"kind": kind, "id": object_id, "at": self.position}).decode()
