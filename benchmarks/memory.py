"""`python -m benchmarks.memory`: the memory of a campaign's job with 1,000 people and with a million.

A real worker of the queue, whose job is rung by RQ as always, on PostgreSQL where one answers, else on
SQLite. The figure is the most that the process of the job had at any moment (the kernel's own VmHWM),
what it shares with its parent included.
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

from benchmarks.databases import fresh, name_of, prosa_on
from benchmarks.people import make_campaign_of
from benchmarks.places import Places
from benchmarks.processes import children_of
from chatbot.campaigns.models import Recipient
from chatbot.channels.service import get_default_channel
from chatbot.core.db import db
from chatbot.core.queue import rq_queue
from chatbot.delivery.states import State
from tests.support.ports import wait_for
from tests.support.redis_server import RedisServer

DATABASE = "prosa_memory"
PACE = 1000
LOOK_S = 0.01
MOST_MB, MOST_APART_MB = 150, 30


@dataclass(slots=True)
class Peak:
    """The most that the job's process, and the worker that started it, have had."""

    job_mb: float = 0.0
    worker_mb: float = 0.0
    sent: int = 0

    def look(self, worker: subprocess.Popen[bytes]) -> None:
        self.worker_mb = max(self.worker_mb, most_resident_mb(worker.pid))
        for child in children_of(worker.pid):
            self.job_mb = max(self.job_mb, most_resident_mb(child))


def most_resident_mb(pid: int) -> float:
    """0 of a process that is gone."""
    with suppress(FileNotFoundError, ProcessLookupError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return 0.0


def measure(places: Places, queue_at: redis.Redis, url: str, people: int, seconds: float) -> Peak:
    """A campaign to so many; looked at until nobody is left, or for so many seconds of sending."""
    with prosa_on(url, None):
        campaign_id = make_campaign_of(get_default_channel(), people)
        worker = places.spawn("workers.run", "campaigns")
        try:
            queue = rq_queue(queue_at, "campaigns")
            queue.enqueue_call("campaigns.send", args=(1,), timeout=180, result_ttl=60)
            return _watch(worker, campaign_id, people, seconds)
        finally:
            worker.kill()
            worker.wait()


def _watch(worker: Any, campaign_id: int, people: int, seconds: float) -> Peak:
    peak = Peak()
    wait_for(lambda: children_of(worker.pid), 60, every=LOOK_S)
    until = time.monotonic() + seconds
    while time.monotonic() < until and (not peak.job_mb or children_of(worker.pid)):
        peak.look(worker)
        time.sleep(LOOK_S)
    left = sa.select(sa.func.count()).where(
        Recipient.campaign_id == campaign_id, Recipient.state == State.QUEUED
    )
    peak.sent = people - (db.session.scalar(left) or 0)
    db.session.rollback()
    return peak


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, nargs=2, default=[1_000, 1_000_000])
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--database", default=DATABASE, help="its name; what it holds is dropped")
    asked = parser.parse_args()
    url, server = fresh(asked.database), RedisServer()
    server.start()
    with tempfile.TemporaryDirectory(prefix="prosa-memory-") as home:
        places = Places(Path(home), server.url, url, MESSAGES_PER_SECOND=PACE)
        try:
            peaks = [
                measure(places, server.admin, url, people, asked.seconds) for people in asked.people
            ]
        finally:
            places.close()
            server.kill()
    tell(name_of(url), asked.people, peaks)
    return 0


def tell(database: str, sizes: list[int], peaks: list[Peak]) -> None:
    print(f"{database}, {os.cpu_count()} cores, pace {PACE}")
    print("| recipients | sent meanwhile | most of the job's process MB | of its worker MB |")
    print("|---|---|---|---|")
    for people, peak in zip(sizes, peaks, strict=True):
        print(f"| {people:,} | {peak.sent:,} | {peak.job_mb:.1f} | {peak.worker_mb:.1f} |")
    apart = max(p.job_mb for p in peaks) - min(p.job_mb for p in peaks)
    most = max(p.job_mb for p in peaks)
    print(f"apart {apart:.1f} MB (≤ {MOST_APART_MB}), at most {most:.1f} MB (≤ {MOST_MB})")


if __name__ == "__main__":
    sys.exit(main())
