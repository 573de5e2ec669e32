"""Modest load on a running stack: users of the panel and customers who write to the bot."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.panel_session import PanelSession
from tests.support.stack import Stack

PAUSE_S = 0.2


class Load:
    """Load; `codes` counts the statuses of the panel, `senders` are the customers who wrote."""

    def __init__(self, stack: Stack, panel_sessions: list[PanelSession]) -> None:
        self.codes: Counter[int] = Counter()
        self.senders: list[str] = []
        self._stack = stack
        self._panel_sessions = panel_sessions
        self._done = threading.Event()

    @contextmanager
    def running(self) -> Iterator[Load]:
        threads = [
            threading.Thread(target=self._browse, args=(panel_session,))
            for panel_session in self._panel_sessions
        ]
        threads.append(threading.Thread(target=self._write_to_bot))
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            self._done.set()
            for thread in threads:
                thread.join()

    @property
    def failures(self) -> dict[int, int]:
        """Statuses of the panel other than 200."""
        return {code: count for code, count in self.codes.items() if code != 200}

    @property
    def webhooks_refused(self) -> int:
        """Number of webhook attempts that Prosa did not answer with 200."""
        return int(self._stack.simulator("log/summary")["webhook_attempts_failed"])

    def unanswered(self) -> list[str]:
        return [person for person in self.senders if not self._stack.replies_to(person)]

    def answered_twice(self) -> list[str]:
        return [person for person in self.senders if len(self._stack.replies_to(person)) > 1]

    def _browse(self, panel_session: PanelSession) -> None:
        while not self._done.wait(PAUSE_S):
            self.codes.update([panel_session.get("/"), panel_session.get("/conversations/")])

    def _write_to_bot(self) -> None:
        """Send one message of a new customer at a time; the simulator retries it until it is accepted."""
        while not self._done.wait(PAUSE_S):
            person = f"55119876{len(self.senders):05d}"
            self._stack.send_as_customer(person, "oi")
            self.senders.append(person)


def open_sessions(stack: Stack, count: int) -> list[PanelSession]:
    panel_sessions = [PanelSession(stack, f"10.1.0.{number}") for number in range(count)]
    assert [panel_session.sign_in() for panel_session in panel_sessions] == [303] * count
    return panel_sessions


def guess_password(stack: Stack, network: int, times: int) -> Counter[int]:
    """Try wrong passwords from one network, all at once and each for another account."""
    codes: Counter[int] = Counter()

    def once(number: int) -> None:
        panel_session = PanelSession(stack, f"10.2.{network}.1")
        codes.update([panel_session.sign_in(f"x{number}@prosa.test", "wrong password")])

    threads = [threading.Thread(target=once, args=(number,)) for number in range(times)]
    for thread in threads:
        thread.start()
        time.sleep(PAUSE_S)
    for thread in threads:
        thread.join()
    return codes
