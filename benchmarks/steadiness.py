"""`python -m benchmarks.steadiness`: the rate of a campaign while its workers are killed.

The whole of Prosa in real processes, on a PostgreSQL and a Redis of its own: web, statuses, maintenance,
scheduler and some campaign workers, each started again a second after its end, as `workers.launch` does.
Every figure is of the simulator's log of arrivals, but for the one that says how long the rows of a dead
worker wait: that is the database's.
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
RECOVERY_S = 60.0  # reliability.md: back to 90 % within it


@dataclass
class SteadinessRun:
    """One campaign that is long enough for everything that is done to it."""

    stack: Stack
    database: PostgresqlServer
    arrivals: Arrivals
    workers: tuple[str, ...]
    campaign_id: int
    chance: random.Random
    window_s: float

    def run_undisturbed(self) -> tuple[float, float]:
        """A window in which nothing is done to it: when it began, and when it ended."""
        begin = time.time()
        time.sleep(self.window_s)
        return begin, time.time()

    def run_with_kills(self, monitor: LeaseMonitor) -> tuple[float, float]:
        """The same with a random worker killed every ten seconds, the first one at once."""
        begin = time.time()
        for at_s in range(0, int(self.window_s), int(KILL_EVERY_S)):
            _sleep_until(begin + at_s)
            name = self.chance.choice(self.workers)
            self.stack.kill(name)
            monitor.record_kill()
            _sleep_until(begin + at_s + RESTART_PAUSE_S)
            self.stack.spawn(name)
        _sleep_until(begin + self.window_s)
        return begin, time.time()

    def restart_database(self) -> tuple[float, float]:
        """PostgreSQL goes away as by a failover; when that began, and when we stopped looking."""
        begin = time.time()
        self.database.restart()
        _sleep_until(begin + RECOVERY_S / 2)
        return begin, time.time()

    def restart_workers_at(self, per_second: int) -> None:
        """The workers anew, with another pace."""
        self.stack.environment["MESSAGES_PER_SECOND"] = str(per_second)
        for name in self.workers:
            self.stack.kill(name)
            self.stack.spawn(name)
        time.sleep(2 * WARM_UP_S)


def _sleep_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.time()))


@contextmanager
def running(asked: argparse.Namespace, home: Path) -> Iterator[SteadinessRun]:
    workers = tuple(f"campaigns-{n}" for n in range(1, asked.workers + 1))
    server, database = RedisServer(), PostgresqlServer()
    server.start()
    database.start()
    stack = Stack(
        home,
        database.url,
        server.url,
        MESSAGES_PER_SECOND=asked.pace,
        CAMPAIGN_WORKERS=asked.workers,
        DOUBT_WINDOW_S=5,
    )
    try:
        stack.flask("db", "upgrade")
        campaign_id = _make_campaign(database.url, int(asked.pace * (4 * asked.seconds + 120)))
        stack.start(*OTHER_PROCESSES, *workers)
        stack.simulator("settings", SIMULATOR_SETTINGS)
        arrivals = Arrivals(stack.simulator_address)
        wait_for(lambda: arrivals.read(), 60)
        time.sleep(WARM_UP_S)
        chance = random.Random(asked.seed)
        yield SteadinessRun(stack, database, arrivals, workers, campaign_id, chance, asked.seconds)
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
    """How a quiet window agrees with what the throttle grants; returns its rate."""
    moments = run.arrivals.read()
    granted, found = pace * CAMPAIGN_SHARE, rate(moments, begin, end)
    print(
        f"pace {pace}, {end - begin:.0f} s: {found:.1f} a second arrived of {granted:.0f} granted"
        f" ({found / granted:.2f}, ≥ 0.90 and ≤ 1.10), in the fullest second"
        f" {max_in_one_second(moments, begin, end)} (≤ {pace * 1.1:.0f});"
        f" {count_seconds_above(moments, begin, end, pace * 1.1)} of its seconds above that,"
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
        f"the last of them taken up"
        f" {monitor.longest_s:.1f} s after its kill (≤ {LEASE_S + 10:.0f}) and at most"
        f" {monitor.overdue_s:.1f} s after its lease",
        flush=True,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--pace", type=int, default=200)
    parser.add_argument("--low-pace", type=int, default=80)
    parser.add_argument("--seconds", type=float, default=60, help="of each window")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    if find_postgresql() is None:
        print("no PostgreSQL is installed here (Debian: postgresql)")
        return 1
    home = tempfile.TemporaryDirectory(prefix="prosa-steady-")
    with home as folder, running(asked, Path(folder)) as run:
        print(f"{asked.workers} campaign workers, {os.cpu_count()} cores", flush=True)
        undisturbed = print_arrivals(run, asked.pace, *run.run_undisturbed())
        print_kills(run, undisturbed)
        print_restart(run, undisturbed)
        run.restart_workers_at(asked.low_pace)
        print_arrivals(run, asked.low_pace, *run.run_undisturbed())
        print(f"arrived twice: {run.arrivals.count_duplicates()}; load {os.getloadavg()[0]:.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
