"""Which worker serves pages and sockets best: `python -m benchmarks.worker_classes [SOCKETS] [SECONDS]`.

The gevent form needs what Prosa itself doesn't: `pip install gevent flask-sock`. The last columns hold
SQLite's write lock in another process for five seconds while somebody here wants to write: what waits?
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
    """Pages a second for so many readers who don't pause. Beyond the rate limit an answer is a 429,
    so what is read is exempt from it."""
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
    served: WebProcess, session: aiohttp.ClientSession, crowd: SocketClients
) -> SocketTimings:
    """Somebody marks a conversation read, which writes, while another process holds the lock."""

    async def write() -> None:
        async with session.post("/logout", allow_redirects=False) as answer:
            await answer.read()

    crowd.timings = SocketTimings()
    with locked_database(served.home / "prosa.db", LOCK_S):
        writing = asyncio.create_task(write())
        await asyncio.sleep(0.2)
        for _ in range(round(LOCK_S * 2)):
            crowd.publish_event(served.redis.admin)
            started = time.perf_counter()
            async with session.get("/login") as answer:
                await answer.read()
            crowd.timings.pages.append(time.perf_counter() - started)
            await asyncio.sleep(0.5)
        await writing
    await asyncio.sleep(1)
    return crowd.timings


async def measure(name: str, size: int, seconds: int) -> list[str]:
    with web_process(*WORKER_CLASSES[name]) as served:
        async with signed_in_session(served.stack.address) as session:
            crowd = SocketClients(session, served.stack.address)
            rate = await measure_throughput(session, "/health")
            memory = served.memory_kb()
            has_sockets = "no sockets" not in name
            if has_sockets:
                await crowd.gather(size)
            memory = served.memory_kb() - memory
            cpu = served.cpu_s()
            timings = await crowd.measure(served.redis.admin, seconds)
            cpu = served.cpu_s() - cpu
            held = await measure_under_lock(served, session, crowd)
            await crowd.leave()
    return [
        name,
        f"{memory / size:.0f}" if has_sockets else "–",
        *(format_quantile_ms(timings.hints, share) for share in (0.5, 0.95, 1)),
        f"{cpu / seconds:.0%}",
        *(format_quantile_ms(timings.pages, share) for share in (0.5, 0.95)),
        f"{rate:.0f}",
        format_quantile_ms(held.hints, 1),
        format_quantile_ms(held.pages, 1),
    ]


async def main(size: int, seconds: int) -> None:
    print(f"\n{size} sockets on one process, a hint a second for {seconds} s; pages: {PAGE}\n")
    print("| worker | KB a socket | hint p50 | p95 | most | CPU | page p50 | p95 | /health a second "
          "| SQLite locked: hint, most | page, most |")  # fmt: skip
    print("|---" * 11 + "|")
    for name in WORKER_CLASSES:
        missing = [
            n for n in REQUIRED_PACKAGES.get(name, ()) if importlib.util.find_spec(n) is None
        ]
        if missing:
            print(f"| {name}: not measured, {' and '.join(missing)} missing |")
        else:
            print(f"| {' | '.join(await measure(name, size, seconds))} |", flush=True)


if __name__ == "__main__":
    numbers = [int(argument) for argument in sys.argv[1:]]
    asyncio.run(main(*(numbers + [500, 20][len(numbers) :])))
