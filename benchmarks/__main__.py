"""`make bench`: every table in turn, each by the command that also prints it alone.

Each runs in a process of its own, so that none is warmed up or slowed down by another; what children
used of the CPU is added up by the system itself.
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
    """Whether it ended well; its table is printed as it comes."""
    print(f"\n## python -m benchmarks.{' '.join((module, *arguments))}", flush=True)
    began, began_cpu = time.perf_counter(), _cpu_s()
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{module}", *arguments], cwd=HOME.parents[1], check=False
    )
    print(
        f"\n({time.perf_counter() - began:.0f} s wall, {_cpu_s() - began_cpu:.0f} s CPU in all its "
        f"processes, PostgreSQL's apart; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f})",
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
