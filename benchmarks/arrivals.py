"""Arrival times of messages from the simulator's log, and rates computed from them."""

from __future__ import annotations

import json
import urllib.request
from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise


class Arrivals:
    """Arrivals so far, read incrementally; `moments` are Unix seconds, ascending."""

    def __init__(self, simulator_address: str) -> None:
        self._url = f"{simulator_address}/_sim/accepted?since="
        self._since = 0
        self.moments: list[float] = []
        self.callbacks: list[str] = []

    def read(self) -> Sequence[float]:
        with urllib.request.urlopen(f"{self._url}{self._since}", timeout=30) as response:
            for line in response:
                entry = json.loads(line)
                self._since = entry["id"]
                self.moments.append(entry["at"])
                self.callbacks.append(entry["callback_data"])
        return self.moments

    def count_duplicates(self) -> int:
        """Count messages that arrived again, in the same attempt or another one."""
        rows = [callback.rpartition(":")[0] for callback in self.callbacks]
        return len(rows) - len(set(rows))


def rate(moments: Sequence[float], begin: float, end: float) -> float:
    """Return messages a second between two moments."""
    return (bisect_left(moments, end) - bisect_left(moments, begin)) / (end - begin)


def max_in_one_second(moments: Sequence[float], begin: float, end: float) -> int:
    """Return the maximum of arrivals in any window of one second."""
    first, last = bisect_left(moments, begin), bisect_left(moments, end)
    return max((bisect_left(moments, moments[i] + 1) - i for i in range(first, last)), default=0)


def count_seconds_above(moments: Sequence[float], begin: float, end: float, most: float) -> int:
    """Count the whole seconds from `begin` with more than `most` arrivals."""
    return sum(rate(moments, begin + s, begin + s + 1) > most for s in range(int(end - begin)))


def longest_silence(moments: Sequence[float], begin: float, end: float) -> float:
    """Return the longest time in seconds without an arrival."""
    inside = moments[bisect_left(moments, begin) : bisect_left(moments, end)]
    edges = [begin, *inside, end]
    return max(later - earlier for earlier, later in pairwise(edges))


def recovery_time_s(
    moments: Sequence[float], since: float, wanted: float, until: float, window_s: float = 5.0
) -> float | None:
    """Return the seconds after `since` until a whole window has the wanted rate.

    None if no window before `until` has it.
    """
    for second in range(int(until - since - window_s) + 1):
        begin = since + second
        if rate(moments, begin, begin + window_s) >= wanted:
            return float(second)
    return None
