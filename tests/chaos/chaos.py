"""Chaos test of a campaign: kills, freezes, an emptied Redis, restarts and an outage, by a seed.

`make chaos` runs it with both policies for messages in doubt. Redis and PostgreSQL are private; without
PostgreSQL it runs on SQLite and prints that.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import redis
import sqlalchemy as sa

from chatbot.core.tasks import get_rq_queue
from tests.support.delivery_audit import (
    CampaignObserver,
    check_deliveries,
    count_accepted_by_phone,
    start_campaign,
)
from tests.support.ports import wait_for
from tests.support.postgresql_server import PostgresqlServer, find_postgresql
from tests.support.redis_server import RedisServer
from tests.support.stack import Stack, thaw

WORKERS = tuple(f"campaigns-{n}" for n in range(1, 5))
OTHERS = ("statuses", "maintenance-1", "scheduler-1", "scheduler-2")
TIMEOUT_S = 2.0
LEASE_S = 3 * TIMEOUT_S
BATCH = 128
FAULTS = {
    "reset_after_accept": 0.02,
    "http_500_before": 0.01,
    "http_500_after": 0.01,
    "duplicate_status": 0.2,
    "shuffle_status": 0.2,
    "read_min_s": 0.2,
    "read_max_s": 0.8,
    "batch_size": 200,
    "latency_ms": 50,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Number of recipients and faults.

    The faults happen in the first three quarters of `seconds`, about the duration of the campaign.
    """

    people: int
    per_second: int
    kills: int = 0
    freezes: int = 0
    flushes: int = 0
    redis_restarts: int = 0
    database_restarts: int = 0
    outage_s: float = 0

    @property
    def seconds(self) -> float:
        return self.people / self.per_second / 0.9


FULL_PLAN = Plan(
    people=10_000,
    per_second=80,
    kills=20,
    freezes=5,
    flushes=3,
    redis_restarts=2,
    database_restarts=1,
    outage_s=60,
)
SMALL_PLAN = Plan(
    people=400,
    per_second=20,
    kills=3,
    freezes=1,
    flushes=1,
    redis_restarts=1,
    database_restarts=1,
    outage_s=5,
)


@dataclass
class Chaos:
    stack: Stack
    redis: RedisServer
    database: PostgresqlServer | None
    plan: Plan
    rng: random.Random
    log: Callable[[str], None] = print
    _timers: list[threading.Timer] = field(default_factory=list)

    def run(self, observer: CampaignObserver) -> None:
        """Inject all faults at their times and check the sum of the states meanwhile."""
        began = time.monotonic()
        for at_s, name in self._schedule():
            while time.monotonic() - began < at_s:
                self.check_accounting(observer)
                self._enqueue_twice()
                time.sleep(min(0.5, max(0.0, at_s - (time.monotonic() - began))))
            self.log(f"{at_s:6.1f} s  {name}")
            getattr(self, name)()
        for timer in self._timers:
            timer.join()

    def _schedule(self) -> list[tuple[float, str]]:
        plan = self.plan
        names = (
            ["kill"] * plan.kills
            + ["freeze"] * plan.freezes
            + ["flush"] * plan.flushes
            + ["restart_redis"] * plan.redis_restarts
            + ["restart_database"] * (plan.database_restarts if self.database else 0)
            + ["outage"] * (plan.outage_s > 0)
        )
        end = plan.seconds * 0.75
        return sorted((self.rng.uniform(1, end), name) for name in names)

    def check_accounting(self, observer: CampaignObserver) -> None:
        """Check that the states add up to the planned number, if the database answers."""
        with suppress(sa.exc.DBAPIError):
            counts = observer.count_by_state()
            assert sum(counts.values()) == self.plan.people, counts

    def kill(self) -> None:
        name = self.rng.choice(WORKERS)
        self.stack.kill(name)
        self.stack.spawn(name)

    def freeze(self) -> None:
        """Freeze a worker beyond its lease; it may be killed meanwhile."""
        pids = self.stack.freeze(self.rng.choice(WORKERS))
        self._later(LEASE_S + 4, lambda: thaw(pids))

    def flush(self) -> None:
        self.redis.flush()

    def restart_redis(self) -> None:
        self.redis.kill()
        time.sleep(1)
        self.redis.start()

    def restart_database(self) -> None:
        assert self.database is not None
        self.database.restart()

    def outage(self) -> None:
        """Hold all webhooks back for a while, as if Meta could not reach Prosa."""
        self.stack.simulator("settings", {"webhook_outage": True})
        self._later(
            self.plan.outage_s, lambda: self.stack.simulator("settings", {"webhook_outage": False})
        )

    def _later(self, seconds: float, action: Callable[[], object]) -> None:
        timer = threading.Timer(seconds, action)
        timer.start()
        self._timers.append(timer)

    def _enqueue_twice(self) -> None:
        """Enqueue each job twice, without the dedupe key that would merge them."""
        with suppress(redis.RedisError):
            for queue, name, args in (
                ("campaigns", "campaigns.send", (1,)),
                ("maintenance", "campaigns.sweep", ()),
            ):
                for _ in range(2):
                    get_rq_queue(self.redis.admin, queue).enqueue_call(
                        name, args=args, timeout=180, result_ttl=60, failure_ttl=60
                    )


def run(plan: Plan, policy: str, seed: int, home: Path, log: Callable[[str], None] = print) -> None:
    """Run a plan and check the deliveries; raise AssertionError if they are wrong."""
    server = RedisServer()
    server.start()
    database = PostgresqlServer() if find_postgresql() else None
    if database:
        database.start()
    else:
        log("PostgreSQL is not installed: running on SQLite, without a restart of the database")
    stack = Stack(
        home,
        database.url if database else f"sqlite:///{home / 'chaos.db'}",
        server.url,
        MESSAGES_PER_SECOND=plan.per_second,
        CAMPAIGN_WORKERS=len(WORKERS),
        DOUBT_WINDOW_S=5,
        WHATSAPP_TIMEOUT_S=TIMEOUT_S,
    )
    try:
        stack.flask("db", "upgrade")
        stack.start("simulator", "web", *OTHERS, *WORKERS)
        stack.simulator("settings", FAULTS | {"seed": seed})
        _run(Chaos(stack, server, database, plan, random.Random(seed), log), policy)
    finally:
        stack.stop()
        server.kill()
        if database:
            database.close()


def _run(chaos: Chaos, policy: str) -> None:
    stack, plan = chaos.stack, chaos.plan
    began = time.monotonic()
    campaign_id = start_campaign(stack, stack.home, plan.people, policy)
    observer = CampaignObserver(stack.database_url, campaign_id)
    try:
        chaos.run(observer)

        def settled() -> bool:
            chaos.check_accounting(observer)
            with suppress(sa.exc.DBAPIError):
                return observer.is_settled()
            return False

        wait_for(settled, plan.seconds + 180, every=0.5)
        states = check_deliveries(stack, observer, plan.people)
        unknown = sum(state == "unknown" for state in states.values())
        if policy == "resend":
            assert len(count_accepted_by_phone(stack)) == plan.people, f"{unknown} not reached"
        assert unknown <= BATCH * (plan.kills + plan.freezes + plan.database_restarts)
        chaos.log(
            f"{policy}: {plan.people} recipients in {time.monotonic() - began:.0f} s, none twice, "
            f"{unknown} unknown"
        )
    finally:
        observer.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--policy", choices=["show", "resend"], action="append")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--small", action="store_true")
    options = parser.parse_args()
    for policy in options.policy or ["show", "resend"]:
        with tempfile.TemporaryDirectory(prefix="prosa-chaos-") as home:
            print(f"chaos, seed {options.seed}, policy for doubt: {policy}", flush=True)
            run(SMALL_PLAN if options.small else FULL_PLAN, policy, options.seed, Path(home))
    return 0


if __name__ == "__main__":
    sys.exit(main())
