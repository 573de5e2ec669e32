"""Measure the webhook endpoint and a worker that applies statuses: `python -m benchmarks.webhooks`.

The floor of the endpoint is a bare Flask route with the same HMAC and INSERT, in a gunicorn with as many
threads. The worker is that of the Procfile; it applies three statuses for each row of a campaign and is
compared with a worker that sends a campaign.
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

from benchmarks.databases import app_on, create_empty_database, get_backend_name
from benchmarks.environment import BenchmarkEnvironment
from benchmarks.processes import cpu_s, post_all, render_request
from chatbot.core import clock
from chatbot.core.db import db
from chatbot.core.tasks import enqueue
from chatbot.delivery.installation import get_installation_id
from chatbot.delivery.models import MessageState
from chatbot.delivery.outbound import CallbackId
from chatbot.webhooks.models import WebhookBody, WebhookQueue, WebhookUpdate, WorkState
from tests.support.factories import (
    make_campaign,
    make_recipients,
    make_status_value,
    make_webhook_body,
    signature_headers,
)
from tests.support.ports import free_port, wait_for
from tests.support.redis_server import RedisServer
from tests.support.stack import ROOT, Stack
from workers.parent_death import die_with_parent

DATABASE = "prosa_bench_webhooks"
PATH = "/webhooks/whatsapp"
CONNECTIONS = 8
STEPS = ("sent", "delivered", "read")
FLOOR = "bare Flask route, gthread (floor)"
SERVERS = {
    FLOOR: ("benchmarks.bare_webhook_route:app",),
    "Prosa, as the Procfile starts it": ("-k", "asgi", "--threads", "1", "wsgi:asgi"),
    "Prosa, gthread": ("wsgi:app",),
}


@dataclass(frozen=True, slots=True)
class Speed:
    """Number of items, and the wall and CPU seconds of the process that handled them."""

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


# --- the endpoint ---


def measure_ingest(stack: Stack, requests: int, rounds: int = 3) -> dict[str, Speed]:
    """Measure all servers in turn while all run, since the speed of the machine changes."""
    raw = make_webhook_body(status_of(1, "sent"))
    posts = [render_request(PATH, raw, signature_headers(raw))] * requests
    with run_servers(stack) as servers:
        found: dict[str, list[Speed]] = {name: [] for name in SERVERS}
        for port, _pid in servers.values():
            asyncio.run(post_all(port, posts[:200], CONNECTIONS))  # warm up
        for _ in range(rounds):
            for name, (port, pid) in servers.items():
                before = cpu_s(pid)
                wall_s = asyncio.run(post_all(port, posts, CONNECTIONS))
                found[name].append(Speed(requests, wall_s, cpu_s(pid) - before))
    return {name: median(speeds) for name, speeds in found.items()}


@contextmanager
def run_servers(stack: Stack) -> Iterator[dict[str, tuple[int, int]]]:
    """Start the servers; yield the port and process id of each."""
    processes, ports = [], []
    try:
        for command in SERVERS.values():
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
        yield dict(zip(SERVERS, zip(ports, pids, strict=True), strict=True))
    finally:
        for process in processes:
            process.terminate()
            process.wait(30)


def is_open(port: int) -> bool:
    raw = make_webhook_body(status_of(1, "sent"))
    try:
        asyncio.run(post_all(port, [render_request(PATH, raw, signature_headers(raw))], 1))
    except OSError:
        return False
    return True


# --- the statuses ---


def status_of(row_id: int, step: str, installation: str = "0") -> dict[str, Any]:
    return make_status_value(
        f"wamid.bench{row_id}",
        step,
        recipient_id=f"5521{900_000_000 + row_id}",
        biz_opaque_callback_data=str(CallbackId("r", row_id, 1, installation)),
        conversation={"id": "c1", "origin": {"type": "utility"}},
        pricing={"billable": True, "pricing_model": "PMP", "category": "utility"},
    )


def bodies_of(row_ids: Sequence[int], size: int, installation: str = "0") -> list[bytes]:
    """Return bodies of `size` statuses, three for each row, in the order of a campaign.

    The first rows are delivered while later ones are still being sent.
    """
    lag = min(200, len(row_ids))
    steps = [
        (row_ids[position - lag * step], STEPS[step])
        for position in range(len(row_ids) + 2 * lag)
        for step in range(3)
        if 0 <= position - lag * step < len(row_ids)
    ]
    values = [status_of(row_id, step, installation) for row_id, step in steps]
    return [make_webhook_body(*values[at : at + size]) for at in range(0, len(values), size)]


def measure_statuses(worker: subprocess.Popen[bytes], rows: int, size: int) -> Speed:
    """Measure from the moment when all bodies are stored until the last status is applied."""
    campaign = make_campaign()
    ids = make_recipients(
        campaign, rows, state=MessageState.ACCEPTED, attempt=1, accepted_at=clock.now()
    )
    with db.engine.begin() as connection:
        installation = get_installation_id(connection)
    waiting = [
        {
            "received_at": clock.now(),
            "queue": WebhookQueue.STATUSES,
            "raw": raw,
            "state": WorkState.NEW,
        }
        for raw in bodies_of(ids, size, installation)
    ]
    started_cpu = cpu_s(worker.pid)
    with db.engine.begin() as connection:
        connection.execute(sa.insert(WebhookBody), waiting)
    started = time.perf_counter()
    enqueue("webhooks.statuses")
    wait_for(is_drained, 300, every=0.02)
    return Speed(3 * rows, time.perf_counter() - started, cpu_s(worker.pid) - started_cpu)


def is_drained() -> bool:
    with db.engine.connect() as connection:
        new = sa.exists().where(WebhookBody.state == WorkState.NEW)
        left = sa.exists().where(WebhookUpdate.state == WorkState.NEW)
        return not connection.scalar(sa.select(sa.or_(new, left)))


def are_all_read() -> bool:
    query = sa.text("SELECT count(*) FROM recipients WHERE state <> 'read' OR read_at IS NULL")
    with db.engine.connect() as connection:
        return connection.scalar(query) == 0


# --- the tables ---


def print_ingest(found: dict[str, Speed]) -> None:
    floor = found[FLOOR]
    print("\n| webhook endpoint, one status a body | requests/s | ÷ floor (≥ 0.6) | CPU ms each |")
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
    """Measure one campaign worker as `benchmarks.campaign` does, without statuses."""
    environment = BenchmarkEnvironment(
        home, redis.url, create_empty_database(f"{DATABASE}_campaign")
    )
    try:
        environment.reset_simulator(latency_ms=0)
        speeds = []
        for _ in range(2):
            found = environment.run("prosa", messages) or {}
            speeds.append(Speed(found["messages"], found["wall_s"], found["cpu_s"]))
        return median(speeds)
    finally:
        environment.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=2000, help="to each server, three times")
    parser.add_argument(
        "--rows", type=int, default=6000, help="of the campaign whose statuses are applied"
    )
    parser.add_argument(
        "--messages", type=int, default=3000, help="of the campaign sent for comparison"
    )
    options = parser.parse_args()
    redis, home = RedisServer(), Path(tempfile.mkdtemp(prefix="prosa-bench-"))
    redis.start()
    url = create_empty_database(DATABASE)
    try:
        with app_on(url, redis.url):
            print(
                f"\nWebhooks on {get_backend_name(url)}; floor: a bare Flask route with the same HMAC"
                " and INSERT"
            )
            stack = Stack(home, url, redis.url)
            print_ingest(measure_ingest(stack, options.requests))
            with db.engine.begin() as connection:
                connection.execute(sa.delete(WebhookBody))
            stack.spawn("statuses")
            worker = stack.processes["statuses"]
            measure_statuses(worker, 200, 100)  # waits for its start, and warms it up
            found = {size: measure_statuses(worker, options.rows, size) for size in (100, 1)}
            assert are_all_read(), "statuses were lost"
            stack.stop()
        print_statuses(found, measure_campaign(home, redis, options.messages))
    finally:
        redis.kill()
    return 0


if __name__ == "__main__":
    sys.exit(main())
