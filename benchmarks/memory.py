"""Measure the memory of a campaign job with 1,000 and with 1,000,000 recipients.

Run it with `python -m benchmarks.memory`. A real worker runs the job, on PostgreSQL if a server answers,
else on SQLite. The figure is the peak resident memory of the job's process (the kernel's VmHWM), which
includes memory shared with its parent.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis
import sqlalchemy as sa

from benchmarks.campaign_rows import make_running_campaign
from benchmarks.databases import app_on, create_empty_database, get_backend_name
from benchmarks.environment import BenchmarkEnvironment
from benchmarks.processes import children_of
from chatbot.campaigns.models import Recipient
from chatbot.channels.service import get_default_channel
from chatbot.core.db import db
from chatbot.core.tasks import get_rq_queue
from chatbot.delivery.models import MessageState
from tests.support.ports import wait_for
from tests.support.redis_server import RedisServer

DATABASE = "prosa_memory"
PACE = 1000
POLL_S = 0.01
MAX_MB, MAX_DIFFERENCE_MB = 150, 30


@dataclass(slots=True)
class PeakMemory:
    """Peak memory of the job's process and of the worker that started it."""

    job_mb: float = 0.0
    worker_mb: float = 0.0
    sent: int = 0

    def sample(self, worker: subprocess.Popen[bytes]) -> None:
        self.worker_mb = max(self.worker_mb, get_peak_resident_mb(worker.pid))
        for child in children_of(worker.pid):
            self.job_mb = max(self.job_mb, get_peak_resident_mb(child))


def get_peak_resident_mb(pid: int) -> float:
    """Return the peak resident memory of a process, or 0 if it has ended."""
    with suppress(FileNotFoundError, ProcessLookupError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return 0.0


def measure(
    environment: BenchmarkEnvironment, queue_at: redis.Redis, url: str, people: int, seconds: float
) -> PeakMemory:
    """Send a campaign and sample the memory until it is done, at most for `seconds`."""
    with app_on(url, None):
        campaign_id = make_running_campaign(get_default_channel(), people)
        worker = environment.spawn("workers.run", "campaigns")
        try:
            queue = get_rq_queue(queue_at, "campaigns")
            queue.enqueue_call("campaigns.send", args=(1,), timeout=180, result_ttl=60)
            return _sample_until_done(worker, campaign_id, people, seconds)
        finally:
            worker.kill()
            worker.wait()


def _sample_until_done(worker: Any, campaign_id: int, people: int, seconds: float) -> PeakMemory:
    peak = PeakMemory()
    wait_for(lambda: children_of(worker.pid), 60, every=POLL_S)
    until = time.monotonic() + seconds
    while time.monotonic() < until and (not peak.job_mb or children_of(worker.pid)):
        peak.sample(worker)
        time.sleep(POLL_S)
    left = sa.select(sa.func.count()).where(
        Recipient.campaign_id == campaign_id, Recipient.state == MessageState.QUEUED
    )
    peak.sent = people - (db.session.scalar(left) or 0)
    db.session.rollback()
    return peak


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, nargs=2, default=[1_000, 1_000_000])
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--database", default=DATABASE, help="its name; what it holds is dropped")
    options = parser.parse_args()
    url, server = create_empty_database(options.database), RedisServer()
    server.start()
    with tempfile.TemporaryDirectory(prefix="prosa-memory-") as home:
        environment = BenchmarkEnvironment(Path(home), server.url, url, MESSAGES_PER_SECOND=PACE)
        try:
            peaks = [
                measure(environment, server.admin, url, people, options.seconds)
                for people in options.people
            ]
        finally:
            environment.close()
            server.kill()
    print_table(get_backend_name(url), options.people, peaks)
    return 0


def print_table(database: str, sizes: list[int], peaks: list[PeakMemory]) -> None:
    print(f"Peak memory of a campaign job on {database}, {os.cpu_count()} cores, pace {PACE}")
    print("| recipients | sent meanwhile | peak of the job's process MB | of its worker MB |")
    print("|---|---|---|---|")
    for people, peak in zip(sizes, peaks, strict=True):
        print(f"| {people:,} | {peak.sent:,} | {peak.job_mb:.1f} | {peak.worker_mb:.1f} |")
    difference = max(p.job_mb for p in peaks) - min(p.job_mb for p in peaks)
    most = max(p.job_mb for p in peaks)
    print(
        f"difference {difference:.1f} MB (≤ {MAX_DIFFERENCE_MB}), peak {most:.1f} MB (≤ {MAX_MB})"
    )


if __name__ == "__main__":
    sys.exit(main())
