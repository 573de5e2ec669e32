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
    back_at,
    fullest_second,
    longest_silence,
    rate,
    seconds_above,
)
from benchmarks.databases import prosa_on
from benchmarks.leases import Watch
from benchmarks.people import make_campaign_of
from chatbot.campaigns.models import Campaign, OnDoubt
from chatbot.channels.service import get_default_channel
from chatbot.core.db import db
from chatbot.delivery.local_pace import CAMPAIGN_SHARE
from chatbot.delivery.sender import CALL_S, LEASE_CALLS
from tests.support.ports import wait_for
from tests.support.postgresql_server import PostgresqlServer, programs
from tests.support.redis_server import RedisServer
from tests.support.stack import Stack
from workers.launch import RESTART_PAUSE_S

OTHERS = ("simulator", "web", "statuses", "maintenance", "scheduler")
CALM = {"latency_ms": 50, "batch_size": 200}
KILL_EVERY_S = 10.0
LEASE_S = CALL_S * LEASE_CALLS
WARM_S = 5.0  # until the first jobs run
HEAL_S = 60.0  # reliability.md: back to 90 % within it


@dataclass
class Run:
    """One campaign that is long enough for everything that is done to it."""

    stack: Stack
    database: PostgresqlServer
    arrivals: Arrivals
    workers: tuple[str, ...]
    campaign_id: int
    chance: random.Random
    window_s: float

    def steady(self) -> tuple[float, float]:
        """A window in which nothing is done to it: when it began, and when it ended."""
        begin = time.time()
        time.sleep(self.window_s)
        return begin, time.time()

    def killed(self, watch: Watch) -> tuple[float, float]:
        """The same with a random worker killed every ten seconds, the first one at once."""
        begin = time.time()
        for at_s in range(0, int(self.window_s), int(KILL_EVERY_S)):
            _until(begin + at_s)
            name = self.chance.choice(self.workers)
            self.stack.kill(name)
            watch.note_kill()
            _until(begin + at_s + RESTART_PAUSE_S)
            self.stack.spawn(name)
        _until(begin + self.window_s)
        return begin, time.time()

    def restarted(self) -> tuple[float, float]:
        """PostgreSQL goes away as by a failover; when that began, and when we stopped looking."""
        begin = time.time()
        self.database.restart()
        _until(begin + HEAL_S / 2)
        return begin, time.time()

    def at_pace(self, per_second: int) -> None:
        """The workers anew, with another pace."""
        self.stack.environment["MESSAGES_PER_SECOND"] = str(per_second)
        for name in self.workers:
            self.stack.kill(name)
            self.stack.spawn(name)
        time.sleep(2 * WARM_S)


def _until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.time()))


@contextmanager
def running(asked: argparse.Namespace, home: Path) -> Iterator[Run]:
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
        stack.start(*OTHERS, *workers)
        stack.simulator("settings", CALM)
        arrivals = Arrivals(stack.simulator_address)
        wait_for(lambda: arrivals.read(), 60)
        time.sleep(WARM_S)
        chance = random.Random(asked.seed)
        yield Run(stack, database, arrivals, workers, campaign_id, chance, asked.seconds)
    finally:
        stack.stop()
        server.kill()
        database.close()


def _make_campaign(database_url: str, people: int) -> int:
    with prosa_on(database_url, None):
        campaign_id = make_campaign_of(get_default_channel(), people)
        db.session.get_one(Campaign, campaign_id).on_doubt = OnDoubt.RESEND
        db.session.commit()
    return campaign_id


def tell_arrivals(run: Run, pace: int, begin: float, end: float) -> float:
    """How a quiet window agrees with what the pacer grants; returns its rate."""
    moments = run.arrivals.read()
    granted, found = pace * CAMPAIGN_SHARE, rate(moments, begin, end)
    print(
        f"pace {pace}, {end - begin:.0f} s: {found:.1f} a second arrived of {granted:.0f} granted"
        f" ({found / granted:.2f}, ≥ 0.90 and ≤ 1.10), in the fullest second"
        f" {fullest_second(moments, begin, end)} (≤ {pace * 1.1:.0f});"
        f" {seconds_above(moments, begin, end, pace * 1.1)} of its seconds above that,"
        f" nothing arrived for {longest_silence(moments, begin, end):.2f} s at most,"
        f" load {os.getloadavg()[0]:.1f}",
        flush=True,
    )
    return found


def tell_restart(run: Run, undisturbed: float) -> None:
    begin, end = run.restarted()
    moments = run.arrivals.read()
    seconds = back_at(moments, begin, 0.9 * undisturbed, end)
    found = f"not within {end - begin:.0f} s" if seconds is None else f"after {seconds:.0f} s"
    print(
        f"PostgreSQL restarted: nothing arrived for {longest_silence(moments, begin, end):.1f} s,"
        f" 90 % of the rate again {found} (≤ {HEAL_S:.0f})",
        flush=True,
    )


def tell_kills(run: Run, undisturbed: float) -> None:
    with Watch(run.stack.database_url, run.campaign_id) as watch:
        begin, end = run.killed(watch)
        found = rate(run.arrivals.read(), begin, end)
        print(
            f"a kill every {KILL_EVERY_S:.0f} s for {end - begin:.0f} s: {found:.1f} a second,"
            f" {found / undisturbed:.2f} of the undisturbed rate (≥ 0.90)",
            flush=True,
        )
        watch.wait_until_all_taken_up(LEASE_S + 60)
    print(
        f"rows of {watch.kills} killed workers: {watch.rows_lost()} in doubt, the last of them taken up"
        f" {watch.longest_s:.1f} s after its kill (≤ {LEASE_S + 10:.0f}) and at most"
        f" {watch.overdue_s:.1f} s after its lease",
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
    if programs() is None:
        print("no PostgreSQL is installed here (Debian: postgresql)")
        return 1
    home = tempfile.TemporaryDirectory(prefix="prosa-steady-")
    with home as folder, running(asked, Path(folder)) as run:
        print(f"{asked.workers} campaign workers, {os.cpu_count()} cores", flush=True)
        undisturbed = tell_arrivals(run, asked.pace, *run.steady())
        tell_kills(run, undisturbed)
        tell_restart(run, undisturbed)
        run.at_pace(asked.low_pace)
        tell_arrivals(run, asked.low_pace, *run.steady())
        print(f"arrived twice: {run.arrivals.doubles()}; load {os.getloadavg()[0]:.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
