"""Measure sockets on one web process: `python -m benchmarks.sockets [SOCKETS] [SECONDS]`.

It prints the time of a live event from Redis to each socket at one event a second, the time of a page
meanwhile, and the memory and CPU of the sockets. The floor is the same page without sockets.
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
            clients = SocketClients(session, address)
            memory = served.memory_kb()
            connecting_s = await clients.gather(size)
            memory = served.memory_kb() - memory
            cpu = served.cpu_s()
            timings = await clients.measure(served.redis.admin, seconds)
            cpu = served.cpu_s() - cpu
            received = len(timings.event_delays) / (size * seconds)
            await clients.leave()
    print(f"\n{size} sockets on one web process, one live event a second for {seconds} s\n")
    print("| | p50 | p95 | p99 | max |\n|---|---|---|---|---|")
    rows = {
        "a live event, from Redis to the socket": timings.event_delays,
        "a page meanwhile": timings.pages,
        "a page without sockets (floor)": alone.pages,
    }
    for name, values in rows.items():
        cells = (format_quantile_ms(values, share) for share in (0.5, 0.95, 0.99, 1))
        print(f"| {name} | {' | '.join(cells)} |")
    print(
        f"\nreceived: {received:.1%} of all events; connected in {connecting_s:.1f} s; "
        f"{memory / size:.0f} KB a socket; CPU of the web process {cpu / seconds:.0%}"
    )


if __name__ == "__main__":
    numbers = [int(argument) for argument in sys.argv[1:]]
    asyncio.run(main(*(numbers + [500, 30][len(numbers) :])))
