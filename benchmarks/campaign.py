"""Measure how fast one campaign worker sends: `python -m benchmarks.campaign`.

The floor is a bare aiohttp loop with the same concurrency, connection settings and bodies, against the
same simulator, which gets a core of its own if there are several. Celery (prefork, two processes, one task
a message; `pip install celery`) and RQ (one job a message) are measured for comparison. Each sender is a
process; its CPU seconds do not include the simulator's.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.environment import BenchmarkEnvironment
from chatbot.delivery.sender import MAX_CONCURRENT_CALLS
from tests.support.redis_server import RedisServer

ROUNDS = 5
LOW_CONCURRENCY = 32


@dataclass(frozen=True, slots=True)
class SenderRun:
    """Figures of one sender: messages, wall and CPU seconds, and Prosa's own counts."""

    messages: int
    wall_s: float
    cpu_s: float
    redis_trips: int = 0
    sql_statements: int = 0

    @property
    def rate(self) -> float:
        return self.messages / self.wall_s

    @property
    def cpu_ms(self) -> float:
        return 1000 * self.cpu_s / self.messages


def measure(
    environment: BenchmarkEnvironment, latency_ms: int, messages: int, slow_messages: int
) -> None:
    """Print the table of one latency."""
    environment.reset_simulator(latency_ms)
    with environment.pin_simulator_core():
        pairs = [
            (run(environment, "bare", messages), run(environment, "prosa", messages))
            for _ in range(ROUNDS)
        ]
    floor, ours = median(bare for bare, _ in pairs), median(prosa for _, prosa in pairs)
    # Ratios of neighbouring runs, since the speed of the machine changes from minute to minute.
    rate = statistics.median(prosa.rate / bare.rate for bare, prosa in pairs)
    cpu = statistics.median(prosa.cpu_ms / bare.cpu_ms for bare, prosa in pairs)
    print(f"\nOne campaign worker without a send limit; floor: a bare aiohttp loop. {latency_ms} ms latency,"
          f" {ROUNDS} times {messages} messages, {os.cpu_count()} cores")  # fmt: skip
    print(f"  {'':16}{'msg/s':>9}{'CPU ms/msg':>12}")
    for name, result in (("bare (floor)", floor), ("prosa", ours)):
        print(f"  {name:16}{result.rate:9.0f}{result.cpu_ms:12.3f}")
    print(f"  rate ÷ bare {rate:.2f} (≥ 0.85)")
    print(f"  CPU ÷ bare {cpu:.2f} (≤ 1.4)")
    print(f"  Redis trips a message {ours.redis_trips / ours.messages:.3f} (≤ 0.05)")
    print(f"  SQL statements a message {ours.sql_statements / ours.messages:.3f} (≤ 0.05)")
    for name in ("celery", "rq") if slow_messages else ():
        _print_comparison(ours, name, environment.run(name, slow_messages))
    if latency_ms:
        _print_two_workers(environment, messages)


def _print_comparison(ours: SenderRun, name: str, found: dict[str, Any] | None) -> None:
    if found is None:
        print(f"  {name:16}  not installed here")
        return
    beside = SenderRun(**found)
    times = ours.rate / beside.rate
    print(f"  {name:16}{beside.rate:9.0f}{beside.cpu_ms:12.3f}  prosa is {times:.1f} times as fast")


def _print_two_workers(environment: BenchmarkEnvironment, messages: int) -> None:
    """Print the scaling from one worker to two, also with fewer concurrent calls each.

    At full speed two workers and the simulator need more than two cores, which hides the scaling.
    """
    for at_once in (MAX_CONCURRENT_CALLS, LOW_CONCURRENCY):
        alone = environment.run_together("prosa", messages, 1, at_once)
        pair = environment.run_together("prosa", messages * 2, 2, at_once)
        print(
            f"  two workers ÷ one, {at_once} calls at once each: {pair:.0f} ÷ {alone:.0f} = "
            f"{pair / alone:.2f} (≥ 1.7)"
        )


def median(runs: Iterable[SenderRun]) -> SenderRun:
    ordered = sorted(runs, key=lambda r: r.rate)
    return ordered[len(ordered) // 2]


def run(environment: BenchmarkEnvironment, sender: str, messages: int) -> SenderRun:
    found = environment.run(sender, messages)
    assert found is not None
    return SenderRun(**found)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=10_000)
    parser.add_argument("--slow-messages", type=int, default=600, help="for Celery and RQ")
    parser.add_argument("--latencies", type=int, nargs="*", default=[0, 50])
    parser.add_argument("--database-url", help="default: SQLite in a folder of its own")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="prosa-bench-") as home:
        redis = RedisServer()
        redis.start()
        environment = BenchmarkEnvironment(Path(home), redis.url, options.database_url)
        try:
            for latency_ms in options.latencies:
                measure(environment, latency_ms, options.messages, options.slow_messages)
        finally:
            environment.close()
            redis.kill()
    return 0


if __name__ == "__main__":
    sys.exit(main())
