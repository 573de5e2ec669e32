"""`python -m benchmarks.webhooks`: the door beside a bare route, and one worker that applies statuses.

The door's floor is a bare Flask route with the same HMAC and the same INSERT, in a gunicorn of its own
with as many threads. The worker is the Procfile's; its statuses are of a campaign's rows, three each.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from benchmarks.databases import fresh, name_of, prosa_on
from benchmarks.places import Places
from benchmarks.processes import cpu_s, post_all, request_of
from chatbot.core import clock
from chatbot.core.db import db
from chatbot.core.queue import ring
from chatbot.delivery.states import State
from chatbot.webhooks.models import Lane, WebhookBody, WebhookUpdate, WorkState
from tests.support.making import body_of, make_campaign, make_recipients, signed, status_value
from tests.support.ports import free_port, wait_for
from tests.support.redis_server import RedisServer
from tests.support.stack import ROOT, Stack
from workers.lifeline import die_with_parent

DATABASE = "prosa_bench_webhooks"
PATH = "/webhooks/whatsapp"
LANES = 8
STEPS = ("sent", "delivered", "read")
FLOOR = "bare Flask route, gthread (floor)"
DOORS = {
    FLOOR: ("benchmarks.bare_door:app",),
    "Prosa, as the Procfile starts it": ("-k", "asgi", "--threads", "1", "wsgi:asgi"),
    "Prosa, gthread": ("wsgi:app",),
}


@dataclass(frozen=True, slots=True)
class Speed:
    """So many things in so many seconds, by the wall and by the CPU of who did them."""

    count: int
    wall_s: float
    cpu_s: float

    @property
    def rate(self) -> float:
        return self.count / self.wall_s

    @property
    def cpu_ms(self) -> float:
        return 1000 * self.cpu_s / self.count


def median(speeds: Sequence[Speed]) -> Speed:
    return sorted(speeds, key=lambda speed: speed.rate)[len(speeds) // 2]


# --- the door ---


def measure_doors(stack: Stack, requests: int, rounds: int = 3) -> dict[str, Speed]:
    """All doors are open at once and are measured by turns, since machines are noisy."""
    raw = body_of(status_of(1, "sent"))
    posts = [request_of(PATH, raw, signed(raw))] * requests
    with doors(stack) as open_doors:
        found: dict[str, list[Speed]] = {name: [] for name in DOORS}
        for port, _pid in open_doors.values():
            asyncio.run(post_all(port, posts[:200], LANES))  # warm
        for _ in range(rounds):
            for name, (port, pid) in open_doors.items():
                before = cpu_s(pid)
                wall_s = asyncio.run(post_all(port, posts, LANES))
                found[name].append(Speed(requests, wall_s, cpu_s(pid) - before))
    return {name: median(speeds) for name, speeds in found.items()}


@contextmanager
def doors(stack: Stack) -> Iterator[dict[str, tuple[int, int]]]:
    """Each door's port and process."""
    processes, ports = [], []
    try:
        for command in DOORS.values():
            ports.append(free_port())
            processes.append(
                subprocess.Popen(
                    [sys.executable, "-m", "gunicorn", *command],
                    cwd=ROOT,
                    env={**stack.environment, "PORT": str(ports[-1])},
                    stderr=subprocess.DEVNULL,
                    preexec_fn=die_with_parent,
                )
            )
        for port in ports:
            wait_for(lambda port=port: is_open(port), 60)
        pids = [process.pid for process in processes]
        yield dict(zip(DOORS, zip(ports, pids, strict=True), strict=True))
    finally:
        for process in processes:
            process.terminate()
            process.wait(30)


def is_open(port: int) -> bool:
    raw = body_of(status_of(1, "sent"))
    try:
        asyncio.run(post_all(port, [request_of(PATH, raw, signed(raw))], 1))
    except OSError:
        return False
    return True


# --- the statuses ---


def status_of(row_id: int, step: str) -> dict[str, Any]:
    return status_value(
        f"wamid.bench{row_id}",
        step,
        recipient_id=f"5521{900_000_000 + row_id}",
        biz_opaque_callback_data=f"r:{row_id}:1",
        conversation={"id": "c1", "origin": {"type": "utility"}},
        pricing={"billable": True, "pricing_model": "PMP", "category": "utility"},
    )


def bodies_of(row_ids: Sequence[int], size: int) -> list[bytes]:
    """Three statuses for each row, `size` a body, in the order of a campaign: what is sent first is
    delivered while later rows are still being sent."""
    lag = min(200, len(row_ids))
    ladder = [
        (row_ids[position - lag * step], STEPS[step])
        for position in range(len(row_ids) + 2 * lag)
        for step in range(3)
        if 0 <= position - lag * step < len(row_ids)
    ]
    values = [status_of(row_id, step) for row_id, step in ladder]
    return [body_of(*values[at : at + size]) for at in range(0, len(values), size)]


def measure_statuses(worker: subprocess.Popen[bytes], rows: int, size: int) -> Speed:
    """From the moment at which all bodies are there to the last status applied."""
    campaign = make_campaign()
    ids = make_recipients(campaign, rows, state=State.ACCEPTED, attempt=1, accepted_at=clock.now())
    waiting = [
        {"received_at": clock.now(), "lane": Lane.STATUSES, "raw": raw, "state": WorkState.NEW}
        for raw in bodies_of(ids, size)
    ]
    started_cpu = cpu_s(worker.pid)
    with db.engine.begin() as connection:
        connection.execute(sa.insert(WebhookBody), waiting)
    started = time.perf_counter()
    ring("webhooks.statuses")
    wait_for(is_drained, 300, every=0.02)
    return Speed(3 * rows, time.perf_counter() - started, cpu_s(worker.pid) - started_cpu)


def is_drained() -> bool:
    with db.engine.connect() as connection:
        new = sa.exists().where(WebhookBody.state == WorkState.NEW)
        left = sa.exists().where(WebhookUpdate.state == WorkState.NEW)
        return not connection.scalar(sa.select(sa.or_(new, left)))


def all_read() -> bool:
    query = sa.text("SELECT count(*) FROM recipients WHERE state <> 'read' OR read_at IS NULL")
    with db.engine.connect() as connection:
        return connection.scalar(query) == 0


# --- the tables ---


def print_doors(found: dict[str, Speed]) -> None:
    floor = found[FLOOR]
    print("\n| webhook door, one status a body | requests/s | ÷ floor (≥ 0.6) | CPU ms each |")
    print("|---|---|---|---|")
    for name, speed in found.items():
        print(f"| {name} | {speed.rate:.0f} | {speed.rate / floor.rate:.2f} | {speed.cpu_ms:.2f} |")


def print_statuses(found: dict[int, Speed], campaign: Speed) -> None:
    print(
        "\n| one worker | a second | ÷ a campaign worker (≥ 3) | CPU ms each |\n|---|---|---|---|"
    )
    for size, speed in found.items():
        ratio = speed.rate / campaign.rate
        print(f"| applies statuses, {size} a body | {speed.rate:.0f} | {ratio:.1f} | "
              f"{speed.cpu_ms:.3f} |")  # fmt: skip
    print(f"| sends a campaign | {campaign.rate:.0f} | 1 | {campaign.cpu_ms:.3f} |")


def measure_campaign(home: Path, redis: RedisServer, messages: int) -> Speed:
    """One campaign worker, as `benchmarks.campaign` measures it, with the simulator's statuses off."""
    places = Places(home, redis.url, fresh(f"{DATABASE}_campaign"))
    try:
        places.simulate(latency_ms=0)
        speeds = []
        for _ in range(2):
            found = places.run("prosa", messages) or {}
            speeds.append(Speed(found["messages"], found["wall_s"], found["cpu_s"]))
        return median(speeds)
    finally:
        places.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=2000, help="to each door, three times")
    parser.add_argument(
        "--rows", type=int, default=6000, help="of the campaign whose statuses come"
    )
    parser.add_argument(
        "--messages", type=int, default=3000, help="of the campaign to compare with"
    )
    asked = parser.parse_args()
    redis, home = RedisServer(), Path(tempfile.mkdtemp(prefix="prosa-bench-"))
    redis.start()
    url = fresh(DATABASE)
    try:
        with prosa_on(url, redis.url):
            print(f"\nWebhooks on {name_of(url)}")
            stack = Stack(home, url, redis.url)
            print_doors(measure_doors(stack, asked.requests))
            with db.engine.begin() as connection:
                connection.execute(sa.delete(WebhookBody))
            stack.spawn("statuses")
            worker = stack.processes["statuses"]
            measure_statuses(worker, 200, 100)  # it has started, and is warm
            found = {size: measure_statuses(worker, asked.rows, size) for size in (100, 1)}
            assert all_read(), "statuses were lost"
            stack.stop()
        print_statuses(found, measure_campaign(home, redis, asked.messages))
    finally:
        redis.kill()
    return 0


if __name__ == "__main__":
    sys.exit(main())
