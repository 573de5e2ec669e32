from __future__ import annotations

import gc
import threading
import weakref

import pytest

from chatbot.core.counters import BufferedCounts
from tests.support.ports import wait_for


class Writer:
    """Destination of counts, which may be away."""

    def __init__(self) -> None:
        self.counts: BufferedCounts[str, int] = BufferedCounts(int)
        self.written: list[dict[str, int]] = []
        self.is_away = False

    def write(self, counts: dict[str, int]) -> None:
        if self.is_away:
            raise OSError("away")
        self.written.append(counts)

    def flush(self) -> None:
        self.counts.flush(self.write)


def test_counts_of_a_failed_flush_are_kept() -> None:
    writer = Writer()
    writer.counts.add("a", 2)
    writer.is_away = True
    with pytest.raises(OSError, match="away"):
        writer.flush()
    writer.counts.add("a", 3)
    writer.is_away = False
    writer.flush()
    writer.flush()
    assert writer.written == [{"a": 5}, {}]


def test_a_flush_when_due_is_immediate_and_then_delayed() -> None:
    writer = Writer()
    for _ in range(3):
        writer.counts.add("a", 1)
        writer.counts.flush_when_due(writer.flush, 0.2)
    assert writer.written == [{"a": 1}]
    wait_for(lambda: len(writer.written) == 2)
    assert writer.written[1] == {"a": 2}


def test_the_flushing_thread_ends_with_its_owner() -> None:
    writer = Writer()
    writer.counts.add("a", 1)
    for _ in range(2):
        writer.counts.start_flushing(weakref.WeakMethod(writer.flush), lambda: 0.01, name="t-count")
    written = writer.written
    wait_for(lambda: {"a": 1} in written)
    assert [thread.name for thread in threading.enumerate()].count("t-count") == 1
    del writer
    gc.collect()
    wait_for(lambda: "t-count" not in [thread.name for thread in threading.enumerate()])


def test_the_flushing_thread_survives_any_error() -> None:
    calls: list[int] = []

    def flush() -> None:
        calls.append(len(calls))
        raise ValueError("unreadable")

    counts: BufferedCounts[str, int] = BufferedCounts(int)
    counts.start_flushing(lambda: flush, lambda: 0.01, name="t-errors")
    wait_for(lambda: len(calls) >= 2)
    counts.stop_flushing()
