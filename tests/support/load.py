"""Modest load on a running stack: people at the panel, customers who write, and what became of it."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.stack import Stack
from tests.support.visits import Visit

PAUSE_S = 0.2


class Load:
    """What happened so far. `codes` counts the answers of the panel, `asked` who wrote to the bot."""

    def __init__(self, stack: Stack, visits: list[Visit]) -> None:
        self.codes: Counter[int] = Counter()
        self.asked: list[str] = []
        self._stack = stack
        self._visits = visits
        self._done = threading.Event()

    @contextmanager
    def running(self) -> Iterator[Load]:
        threads = [threading.Thread(target=self._look, args=(visit,)) for visit in self._visits]
        threads.append(threading.Thread(target=self._ask))
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
        """Answers of the panel other than a page."""
        return {code: count for code, count in self.codes.items() if code != 200}

    @property
    def webhooks_refused(self) -> int:
        """Bodies that Prosa did not take with 200 the first time."""
        return int(self._stack.simulator("log/summary")["webhook_attempts_failed"])

    def unanswered(self) -> list[str]:
        return [person for person in self.asked if not self._stack.replies_to(person)]

    def answered_twice(self) -> list[str]:
        return [person for person in self.asked if len(self._stack.replies_to(person)) > 1]

    def _look(self, visit: Visit) -> None:
        while not self._done.wait(PAUSE_S):
            self.codes.update([visit.get("/"), visit.get("/conversations/")])

    def _ask(self) -> None:
        """Each person writes once; the simulator brings it as Meta would, and again until it is taken."""
        while not self._done.wait(PAUSE_S):
            person = f"55119876{len(self.asked):05d}"
            self._stack.says(person, "oi")
            self.asked.append(person)


def signed_in(stack: Stack, count: int) -> list[Visit]:
    visits = [Visit(stack, f"10.1.0.{number}") for number in range(count)]
    assert [visit.sign_in() for visit in visits] == [303] * count
    return visits


def guess(stack: Stack, account: int, times: int) -> Counter[int]:
    """Wrong passwords for one account, all at once and each from another address."""
    codes: Counter[int] = Counter()

    def once(number: int) -> None:
        visit = Visit(stack, f"10.2.{account}.{number}")
        codes.update([visit.sign_in(f"x{account}@prosa.test", "wrong password")])

    threads = [threading.Thread(target=once, args=(number,)) for number in range(times)]
    for thread in threads:
        thread.start()
        time.sleep(PAUSE_S)
    for thread in threads:
        thread.join()
    return codes
