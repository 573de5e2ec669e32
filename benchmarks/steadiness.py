"""Measure the rate of a campaign while its workers are killed: `python -m benchmarks.steadiness`.

Prosa runs in real processes on a private PostgreSQL and Redis: web, statuses, maintenance, scheduler and
some campaign workers, which are restarted a second after their end, as `workers.launch` does. The
reference is the rate that the throttle grants. Figures come from the simulator's log; only the time
until the rows of a dead worker are reclaimed comes from the database.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.arrivals import (
    Arrivals,
    count_seconds_above,
    longest_silence,
    max_in_one_second,
    rate,
    recovery_time_s,
)
from benchmarks.campaign_rows import make_running_campaign
from benchmarks.databases import app_on
from benchmarks.lease_monitor import LeaseMonitor
from chatbot.campaigns.models import Campaign, OnDoubt
from chatbot.channels.service import get_default_channel
from chatbot.core.db import db
from chatbot.delivery.sender import CALL_TIMEOUT_S, LEASE_CALLS
from chatbot.delivery.throttle import CAMPAIGN_SHARE
from tests.support.ports import wait_for
from tests.support.postgresql_server import PostgresqlServer, find_postgresql
from tests.support.redis_server import RedisServer
from tests.support.stack import Stack
from workers.launch import RESTART_PAUSE_S

OTHER_PROCESSES = ("simulator", "web", "statuses", "maintenance", "scheduler")
SIMULATOR_SETTINGS = {"latency_ms": 50, "batch_size": 200}
KILL_EVERY_S = 10.0
LEASE_S = CALL_TIMEOUT_S * LEASE_CALLS
WARM_UP_S = 5.0  # until the first jobs run
RECOVERY_S = 60.0  # target: 90 % of the rate again within it


@dataclass
class SteadinessRun:
    """Running campaign, long enough for all measurements."""

    stack: Stack
    database: PostgresqlServer
    arrivals: Arrivals
    workers: tuple[str, ...]
    campaign_id: int
    rng: random.Random
    window_s: float

    def run_undisturbed(self) -> tuple[float, float]:
        """Wait for one window without disturbance; return its begin and end in Unix seconds."""
        begin = time.time()
        time.sleep(self.window_s)
        return begin, time.time()

    def run_with_kills(self, monitor: LeaseMonitor) -> tuple[float, float]:
        """Kill a random worker every ten seconds for one window; return its begin and end."""
        begin = time.time()
        for at_s in range(0, int(self.window_s), int(KILL_EVERY_S)):
            _sleep_until(begin + at_s)
            name = self.rng.choice(self.workers)
            self.stack.kill(name)
            monitor.record_kill()
            _sleep_until(begin + at_s + RESTART_PAUSE_S)
            self.stack.spawn(name)
        _sleep_until(begin + self.window_s)
        return begin, time.time()

    def restart_database(self) -> tuple[float, float]:
        """Restart PostgreSQL, which cuts every connection; return begin and end of the window."""
        begin = time.time()
        self.database.restart()
        _sleep_until(begin + RECOVERY_S / 2)
        return begin, time.time()

    def restart_workers_at(self, per_second: int) -> None:
        """Restart the workers with another pace."""
        self.stack.environment["MESSAGES_PER_SECOND"] = str(per_second)
        for name in self.workers:
            self.stack.kill(name)
            self.stack.spawn(name)
        time.sleep(2 * WARM_UP_S)


def _sleep_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.time()))


@contextmanager
def running(options: argparse.Namespace, home: Path) -> Iterator[SteadinessRun]:
    workers = tuple(f"campaigns-{n}" for n in range(1, options.workers + 1))
    server, database = RedisServer(), PostgresqlServer()
    server.start()
    database.start()
    stack = Stack(
        home,
        database.url,
        server.url,
        MESSAGES_PER_SECOND=options.pace,
        CAMPAIGN_WORKERS=options.workers,
        DOUBT_WINDOW_S=5,
    )
    try:
        stack.flask("db", "upgrade")
        campaign_id = _make_campaign(database.url, int(options.pace * (4 * options.seconds + 120)))
        stack.start(*OTHER_PROCESSES, *workers)
        stack.simulator("settings", SIMULATOR_SETTINGS)
        arrivals = Arrivals(stack.simulator_address)
        wait_for(lambda: arrivals.read(), 60)
        time.sleep(WARM_UP_S)
        rng = random.Random(options.seed)
        yield SteadinessRun(stack, database, arrivals, workers, campaign_id, rng, options.seconds)
    finally:
        stack.stop()
        server.kill()
        database.close()


def _make_campaign(database_url: str, people: int) -> int:
    with app_on(database_url, None):
        campaign_id = make_running_campaign(get_default_channel(), people)
        db.session.get_one(Campaign, campaign_id).on_doubt = OnDoubt.RESEND
        db.session.commit()
    return campaign_id


def print_arrivals(run: SteadinessRun, pace: int, begin: float, end: float) -> float:
    """Print the rate of an undisturbed window beside the granted one; return the rate."""
    moments = run.arrivals.read()
    granted, found = pace * CAMPAIGN_SHARE, rate(moments, begin, end)
    print(
        f"pace {pace}, {end - begin:.0f} s: {found:.1f} a second arrived of {granted:.0f} granted"
        f" ({found / granted:.2f}, ≥ 0.90 and ≤ 1.10), at most"
        f" {max_in_one_second(moments, begin, end)} in one second (≤ {pace * 1.1:.0f});"
        f" {count_seconds_above(moments, begin, end, pace * 1.1)} seconds above that,"
        f" nothing arrived for {longest_silence(moments, begin, end):.2f} s at most,"
        f" load {os.getloadavg()[0]:.1f}",
        flush=True,
    )
    return found


def print_restart(run: SteadinessRun, undisturbed: float) -> None:
    begin, end = run.restart_database()
    moments = run.arrivals.read()
    seconds = recovery_time_s(moments, begin, 0.9 * undisturbed, end)
    found = f"not within {end - begin:.0f} s" if seconds is None else f"after {seconds:.0f} s"
    print(
        f"PostgreSQL restarted: nothing arrived for {longest_silence(moments, begin, end):.1f} s,"
        f" 90 % of the rate again {found} (≤ {RECOVERY_S:.0f})",
        flush=True,
    )


def print_kills(run: SteadinessRun, undisturbed: float) -> None:
    with LeaseMonitor(run.stack.database_url, run.campaign_id) as monitor:
        begin, end = run.run_with_kills(monitor)
        found = rate(run.arrivals.read(), begin, end)
        print(
            f"a kill every {KILL_EVERY_S:.0f} s for {end - begin:.0f} s: {found:.1f} a second,"
            f" {found / undisturbed:.2f} of the undisturbed rate (≥ 0.90)",
            flush=True,
        )
        monitor.wait_until_reclaimed(LEASE_S + 60)
    print(
        f"rows of {monitor.kills} killed workers: {monitor.count_lost_rows()} in doubt, "
        f"the last one reclaimed"
        f" {monitor.longest_s:.1f} s after the kill (≤ {LEASE_S + 10:.0f}) and at most"
        f" {monitor.overdue_s:.1f} s after the end of its lease",
        flush=True,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--pace", type=int, default=200)
    parser.add_argument("--low-pace", type=int, default=80)
    parser.add_argument("--seconds", type=float, default=60, help="of each window")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if find_postgresql() is None:
        print("no PostgreSQL is installed here (Debian: postgresql)")
        return 1
    home = tempfile.TemporaryDirectory(prefix="prosa-steady-")
    with home as folder, running(options, Path(folder)) as run:
        print(
            f"Arrivals at the simulator from {options.workers} campaign workers on {os.cpu_count()}"
            " cores; reference: the rate granted by the throttle",
            flush=True,
        )
        undisturbed = print_arrivals(run, options.pace, *run.run_undisturbed())
        print_kills(run, undisturbed)
        print_restart(run, undisturbed)
        run.restart_workers_at(options.low_pace)
        print_arrivals(run, options.low_pace, *run.run_undisturbed())
        print(f"arrived twice: {run.arrivals.count_duplicates()}; load {os.getloadavg()[0]:.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
