"""When messages arrived at the simulator, from its own log, and what that says of a rate."""

from __future__ import annotations

import json
import urllib.request
from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise


class Arrivals:
    """Reads on from where it stopped; `moments` are Unix seconds, ascending."""

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
        """Messages that arrived more than once, whatever attempt it was."""
        rows = [callback.rpartition(":")[0] for callback in self.callbacks]
        return len(rows) - len(set(rows))


def rate(moments: Sequence[float], begin: float, end: float) -> float:
    """Messages a second between two moments."""
    return (bisect_left(moments, end) - bisect_left(moments, begin)) / (end - begin)


def max_in_one_second(moments: Sequence[float], begin: float, end: float) -> int:
    """The most that arrived in any window of one second, wherever it begins."""
    first, last = bisect_left(moments, begin), bisect_left(moments, end)
    return max((bisect_left(moments, moments[i] + 1) - i for i in range(first, last)), default=0)


def count_seconds_above(moments: Sequence[float], begin: float, end: float, most: float) -> int:
    """How many of the window's seconds, counted from its beginning, had more than that."""
    return sum(rate(moments, begin + s, begin + s + 1) > most for s in range(int(end - begin)))


def longest_silence(moments: Sequence[float], begin: float, end: float) -> float:
    """The longest time in which nothing arrived."""
    inside = moments[bisect_left(moments, begin) : bisect_left(moments, end)]
    edges = [begin, *inside, end]
    return max(later - earlier for earlier, later in pairwise(edges))


def recovery_time_s(
    moments: Sequence[float], since: float, wanted: float, until: float, window_s: float = 5.0
) -> float | None:
    """Seconds from `since` to the second from which on the rate of a whole window is as `wanted`;
    None when it is not before `until`."""
    for second in range(int(until - since - window_s) + 1):
        begin = since + second
        if rate(moments, begin, begin + window_s) >= wanted:
            return float(second)
    return None
