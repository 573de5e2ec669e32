"""Compare gunicorn workers for pages and sockets: `python -m benchmarks.worker_classes [SOCKETS] [SECONDS]`.

The floor is the gthread worker, which serves no sockets. The gevent worker needs `pip install gevent
flask-sock`. For the last columns another process holds SQLite's write lock for five seconds while a request
wants to write: they show which live events and pages wait for it.
"""

from __future__ import annotations

import asyncio
import importlib.util
import sys
import time

import aiohttp

from benchmarks.socket_clients import (
    PAGE,
    SocketClients,
    SocketTimings,
    WebProcess,
    format_quantile_ms,
    locked_database,
    signed_in_session,
    web_process,
)
from benchmarks.sockets import GUNICORN_OPTIONS

WORKER_CLASSES = {
    "asgi, Flask in threads": GUNICORN_OPTIONS,
    "gevent, flask-sock": ("-k", "gevent", "benchmarks.gevent_worker:app"),
    "gthread, no sockets (floor)": ("wsgi:app",),
}
REQUIRED_PACKAGES = {"gevent, flask-sock": ("gevent", "flask_sock")}
READERS = 8
LOCK_S = 5.0


async def measure_throughput(
    session: aiohttp.ClientSession, path: str, seconds: float = 4
) -> float:
    """Return pages a second for READERS clients without pauses; `path` must have no rate limit."""
    until, served = time.perf_counter() + seconds, 0

    async def read() -> None:
        nonlocal served
        while time.perf_counter() < until:
            async with session.get(path) as answer:
                await answer.read()
            served += 1

    await asyncio.gather(*(read() for _ in range(READERS)))
    return served / seconds


async def measure_under_lock(
    served: WebProcess, session: aiohttp.ClientSession, clients: SocketClients
) -> SocketTimings:
    """Measure live events and pages while a request waits for the lock of another process."""

    async def write() -> None:
        async with session.post("/logout", allow_redirects=False) as answer:
            await answer.read()

    clients.timings = SocketTimings()
    with locked_database(served.home / "prosa.db", LOCK_S):
        writing = asyncio.create_task(write())
        await asyncio.sleep(0.2)
        for _ in range(round(LOCK_S * 2)):
            clients.publish_event(served.redis.admin)
            started = time.perf_counter()
            async with session.get("/login") as answer:
                await answer.read()
            clients.timings.pages.append(time.perf_counter() - started)
            await asyncio.sleep(0.5)
        await writing
    await asyncio.sleep(1)
    return clients.timings


async def measure(name: str, size: int, seconds: int) -> list[str]:
    with web_process(*WORKER_CLASSES[name]) as served:
        async with signed_in_session(served.stack.address) as session:
            clients = SocketClients(session, served.stack.address)
            rate = await measure_throughput(session, "/health")
            memory = served.memory_kb()
            has_sockets = "no sockets" not in name
            if has_sockets:
                await clients.gather(size)
            memory = served.memory_kb() - memory
            cpu = served.cpu_s()
            timings = await clients.measure(served.redis.admin, seconds)
            cpu = served.cpu_s() - cpu
            held = await measure_under_lock(served, session, clients)
            await clients.leave()
    return [
        name,
        f"{memory / size:.0f}" if has_sockets else "–",
        *(format_quantile_ms(timings.event_delays, share) for share in (0.5, 0.95, 1)),
        f"{cpu / seconds:.0%}",
        *(format_quantile_ms(timings.pages, share) for share in (0.5, 0.95)),
        f"{rate:.0f}",
        format_quantile_ms(held.event_delays, 1),
        format_quantile_ms(held.pages, 1),
    ]


async def main(size: int, seconds: int) -> None:
    print(
        f"\n{size} sockets on one web process, one live event a second for {seconds} s; pages: {PAGE};"
    )
    print("floor: gthread worker without sockets\n")
    print("| worker | KB a socket | event p50 | p95 | max | CPU | page p50 | p95 | /health a second "
          "| SQLite locked: event, max | page, max |")  # fmt: skip
    print("|---" * 11 + "|")
    for name in WORKER_CLASSES:
        missing = [
            n for n in REQUIRED_PACKAGES.get(name, ()) if importlib.util.find_spec(n) is None
        ]
        if missing:
            print(f"| {name}: not measured, {' and '.join(missing)} not installed |")
        else:
            print(f"| {' | '.join(await measure(name, size, seconds))} |", flush=True)


if __name__ == "__main__":
    numbers = [int(argument) for argument in sys.argv[1:]]
    asyncio.run(main(*(numbers + [500, 20][len(numbers) :])))
