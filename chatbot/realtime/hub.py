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

from chatbot.core.hints import Hint, Kind
from chatbot.realtime.visitors import Visitor

QUEUE = 64
GATHER_S = 0.1  # a campaign makes hundreds of hints a second about one thing
MOST_SOCKETS = 4000

Topic = tuple[Kind, int | None]
_encode = msgspec.json.Encoder().encode


class Socket:
    """What one page listens to; `(kind, None)` is everything of a kind."""

    def __init__(self, visitor: Visitor, topics: Iterable[Topic], now: float) -> None:
        self.visitor = visitor
        self._ids: dict[Kind, set[int | None]] = defaultdict(set)
        for kind, thing_id in topics:
            self._ids[kind].add(thing_id)
        self.heard_at = now
        self.queue: asyncio.Queue[str] = asyncio.Queue(QUEUE)
        self.ended = asyncio.Event()
        self.close_code = 0

    def concerned_by(self, kind: Kind, changed: set[int | None]) -> set[int | None]:
        """What to tell of a kind's changes: who watches all of it hears of them once, as of any."""
        watched = self._ids.get(kind)
        if not watched or not self.visitor.may_hear(kind):
            return set()
        return {None} if None in watched or None in changed else watched & changed

    def tell(self, text: str) -> bool:
        """False for a socket that doesn't keep up."""
        try:
            self.queue.put_nowait(text)
        except asyncio.QueueFull:
            return False
        return True

    def end(self, close_code: int = 0) -> None:
        """Close it with a code; 0 drops it, since nobody would read the code."""
        self.close_code = close_code
        self.ended.set()


class Hub:
    def __init__(self) -> None:
        self.sockets: set[Socket] = set()
        self.counts: Counter[str] = Counter()
        self.is_live = False
        self._epoch, self._seq = "", 0
        self._gathered: dict[Kind, set[int | None]] = defaultdict(set)
        self._missed = False
        self._timer: asyncio.TimerHandle | None = None
        self._spread_at = -GATHER_S

    @property
    def position(self) -> str:
        """The last hint that this process has heard, as pages keep it; empty while it hears none."""
        return f"{self._epoch}/{self._seq}" if self.is_live and self._epoch else ""

    # --- what the listener reports ---

    def found(self, epoch: str, seq: int) -> None:
        """The subscription begins, perhaps again: what was said before it, nobody here has heard."""
        is_news = not self.is_live or (epoch, seq) != (self._epoch, self._seq)
        self._epoch, self._seq, self.is_live = epoch, seq, True
        if is_news:
            self._miss()

    def lost(self) -> None:
        """Pages ask by themselves until it is found again."""
        if self.is_live:
            self.is_live = False
            self._forget_gathered()
            self._tell_all("away")

    def hear(self, hint: Hint) -> None:
        follows = hint.epoch == self._epoch and hint.seq <= self._seq + 1
        if hint.epoch != self._epoch or hint.seq > self._seq:
            self._epoch, self._seq = hint.epoch, hint.seq
        self.counts["hints"] += 1
        self._gathered[hint.kind].add(hint.id)
        if follows:
            self._plan()
        else:
            self._miss()

    def hear_garbage(self) -> None:
        """On our own channel: whatever it was to say, everybody looks."""
        self.counts["garbage"] += 1
        self._miss()

    def _miss(self) -> None:
        self._missed = True
        self._plan()

    def _plan(self) -> None:
        if not self.sockets:
            self._forget_gathered()
        elif self._timer is None:
            # At once after a quiet while; in a burst, together.
            loop = asyncio.get_running_loop()
            at = max(loop.time(), self._spread_at + GATHER_S)
            self._timer = loop.call_at(at, self._spread)

    def _forget_gathered(self) -> None:
        self._gathered.clear()
        self._missed = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _spread(self) -> None:
        gathered, missed = dict(self._gathered), self._missed
        self._timer, self._spread_at = None, asyncio.get_running_loop().time()
        self._forget_gathered()
        if missed:
            self._tell_all("all")
            return
        message = cache(self._message)  # however many sockets, a text is written once
        for kind, changed in gathered.items():
            for socket in self.sockets:
                for thing_id in socket.concerned_by(kind, changed):
                    self._tell(socket, message(kind.value, thing_id))

    # --- what sockets are told ---

    def join(self, socket: Socket) -> None:
        self.sockets.add(socket)
        socket.tell(self._message("hello"))

    def leave(self, socket: Socket) -> None:
        self.sockets.discard(socket)

    def beat(self, now: float, silence_s: float) -> None:
        """Ask every page whether it is there; drop those that have said nothing for `silence_s`."""
        for socket in self.sockets:
            if now - socket.heard_at > silence_s:
                self.counts["silent"] += 1
                socket.end()
        self._tell_all("beat")

    def _tell_all(self, kind: str) -> None:
        text = self._message(kind)
        for socket in self.sockets:
            self._tell(socket, text)

    def _tell(self, socket: Socket, text: str) -> None:
        if not socket.tell(text) and not socket.ended.is_set():
            self.counts["slow"] += 1
            socket.end()

    def _message(self, kind: str, thing_id: int | None = None) -> str:
        """`at` is where the page stands once it has taken this in."""
        return _encode({"kind": kind, "id": thing_id, "at": self.position}).decode()
