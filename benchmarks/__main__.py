"""Run the benchmarks of `make bench` one after the other, each in a process of its own.

No benchmark warms up or slows down another. Each table can be printed alone by the command above it.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time

from benchmarks.databases import HOME

TABLES = (
    ("redis_table",),
    ("load",),
    ("sockets",),
    ("webhooks",),
    ("answers",),
    ("campaign", "--latencies", "0", "50"),
    ("simulator",),
)


def run(module: str, *arguments: str) -> bool:
    """Run a benchmark, which prints its table; return whether it succeeded."""
    print(f"\n## python -m benchmarks.{' '.join((module, *arguments))}", flush=True)
    began, began_cpu = time.perf_counter(), _cpu_s()
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{module}", *arguments], cwd=HOME.parents[1], check=False
    )
    print(
        f"\n({time.perf_counter() - began:.0f} s wall, {_cpu_s() - began_cpu:.0f} s CPU in all its "
        f"processes but PostgreSQL's; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f})",
        flush=True,
    )
    return done.returncode == 0


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> int:
    failed = [table[0] for table in TABLES if not run(*table)]
    if failed:
        print(f"\nfailed: {', '.join(failed)}")
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())
