"""Sockets on one web process: `python -m benchmarks.sockets [HOW_MANY] [SECONDS]`.

What a hint takes from Redis to every socket at one hint a second, what a page takes meanwhile and took
before, and what a socket costs. The floor is the same pages without any socket.
"""

from __future__ import annotations

import asyncio
import sys

from benchmarks.socket_clients import (
    SocketClients,
    format_quantile_ms,
    signed_in_session,
    web_process,
)

GUNICORN_OPTIONS = ("-k", "asgi", "--threads", "1", "wsgi:asgi")


async def main(size: int, seconds: int) -> None:
    with web_process(*GUNICORN_OPTIONS) as served:
        address = served.stack.address
        async with signed_in_session(address) as session:
            alone = await SocketClients(session, address).measure(served.redis.admin, seconds // 2)
            crowd = SocketClients(session, address)
            memory = served.memory_kb()
            connecting_s = await crowd.gather(size)
            memory = served.memory_kb() - memory
            cpu = served.cpu_s()
            timings = await crowd.measure(served.redis.admin, seconds)
            cpu = served.cpu_s() - cpu
            heard = len(timings.hints) / (size * seconds)
            await crowd.leave()
    print(f"\n{size} sockets on one web process, a hint a second for {seconds} s\n")
    print("| | p50 | p95 | p99 | most |\n|---|---|---|---|---|")
    rows = {
        "a hint, from Redis to the socket": timings.hints,
        "a page meanwhile": timings.pages,
        "a page without sockets (floor)": alone.pages,
    }
    for name, values in rows.items():
        cells = (format_quantile_ms(values, share) for share in (0.5, 0.95, 0.99, 1))
        print(f"| {name} | {' | '.join(cells)} |")
    print(
        f"\nheard: {heard:.1%} of all; connected in {connecting_s:.1f} s; "
        f"{memory / size:.0f} KB a socket; CPU of the web process {cpu / seconds:.0%}"
    )


if __name__ == "__main__":
    numbers = [int(argument) for argument in sys.argv[1:]]
    asyncio.run(main(*(numbers + [500, 30][len(numbers) :])))
