"""Measure how many messages a second one simulator process accepts: `python -m benchmarks.simulator`.

The client is a minimal keep-alive socket loop in another process. Wall time is noisy, so messages
per CPU second of the simulator are printed too: what one whole core would accept. The floor is an
aiohttp route that reads the body and answers a constant.
"""

import argparse
import asyncio
import http.client
import json
import multiprocessing
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aiohttp import web

ROOT = Path(__file__).parents[1]
TOKEN, PHONE = "bench-token", "1001"
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
CONNECTIONS = 32
WITHOUT_STATUSES = {"statuses": False, "service_window": False}
WITH_STATUSES = {"statuses": True, "service_window": False, "batch_size": 100}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def simulator(callback_url: str) -> Iterator[tuple[int, int]]:
    """Start a simulator; yield (port, process id)."""
    port = free_port()
    environ = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "WHATSAPP_TOKEN": TOKEN,
        "WHATSAPP_PHONE_NUMBER_ID": PHONE,
        "WHATSAPP_BUSINESS_ACCOUNT_ID": "2002",
        "WHATSAPP_APP_SECRET": "bench-secret",
        "WHATSAPP_VERIFY_TOKEN": "bench-verify",
        "SIMULATOR_CALLBACK_URL": callback_url,
        "SIMULATOR_PORT": str(port),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "chatbot.simulator"], env=environ, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    process.stdout.readline()
    try:
        yield port, process.pid
    finally:
        process.terminate()
        process.wait()


def control(port: int, path: str, body: object = None) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    raw = None if body is None else json.dumps(body).encode()
    method = "GET" if body is None else "POST"
    connection.request(method, f"/_sim{path}", raw, {"Content-Type": "application/json"})
    answer = connection.getresponse().read()
    connection.close()
    return answer


def render_request(number: int) -> bytes:
    """Return one POST of a campaign: a template with two parameters and callback data."""
    parameters = [{"type": "text", "text": text} for text in ("Maria", "10/12/2026")]
    body = json.dumps(
        {
            "messaging_product": "whatsapp",
            "to": f"5511{900_000_000 + number}",
            "type": "template",
            "template": {
                "name": "lembrete_fatura",
                "language": {"code": "pt_BR"},
                "components": [{"type": "body", "parameters": parameters}],
            },
            "biz_opaque_callback_data": f"r:{number}:1:0123456789",
        }
    )
    head = (
        f"POST /v25.0/{PHONE}/messages HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Authorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return (head + body).encode()


async def send_all(port: int, total: int) -> float:
    """Send `total` messages over `CONNECTIONS` persistent connections; return the wall seconds."""
    numbers = iter(range(total))

    async def send_requests() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for number in numbers:
            writer.write(render_request(number))
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
        writer.close()

    started = time.perf_counter()
    await asyncio.gather(*(send_requests() for _ in range(CONNECTIONS)))
    return time.perf_counter() - started


def receive_webhooks(port: int) -> None:
    """Serve a callback URL that ignores its webhooks."""

    async def accept(request: web.Request) -> web.Response:
        await request.read()
        return web.Response()

    app = web.Application(client_max_size=4 * 1024 * 1024)
    app.router.add_post("/hook", accept)
    web.run_app(app, host="127.0.0.1", port=port, print=None)


def serve_bare(port: int) -> None:
    """Serve the floor: an aiohttp route that reads the body and answers a constant."""

    async def answer(request: web.Request) -> web.Response:
        await request.read()
        return web.json_response({"messages": [{"id": "wamid.x" * 8}]})

    app = web.Application()
    app.router.add_post("/{version}/{number}/messages", answer)
    web.run_app(app, host="127.0.0.1", port=port, print=None, access_log=None)


def measure_floor(total: int) -> None:
    port = free_port()
    process = multiprocessing.Process(target=serve_bare, args=(port,), daemon=True)
    process.start()
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.05)
    asyncio.run(send_all(port, 500))
    before = cpu_seconds(process.pid or 0)
    wall = asyncio.run(send_all(port, total))
    report("bare aiohttp route (floor)", total, wall, cpu_seconds(process.pid or 0) - before)
    process.terminate()


def report(name: str, total: int, wall: float, cpu: float) -> None:
    print(
        f"{name:<28}{total / wall:>10,.0f} msg/s wall {total / cpu:>10,.0f} msg per CPU s"
        f"   ({wall:.1f} s wall, {cpu:.1f} s CPU)"
    )


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def resident_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1024 / 1024


def measure(name: str, settings: dict[str, object], total: int, callback_url: str) -> None:
    with simulator(callback_url) as (port, pid):
        control(port, "/settings", settings)
        asyncio.run(send_all(port, 500))  # warm up
        control(port, "/reset", {"keep_settings": True})
        before = cpu_seconds(pid)
        wall = asyncio.run(send_all(port, total))
        while json.loads(control(port, "/health"))["pending"]:
            time.sleep(0.05)
        cpu = cpu_seconds(pid) - before
        assert json.loads(control(port, "/log/summary"))["accepted"] == total
        report(name, total, wall, cpu)
        started = time.perf_counter()
        lines = control(port, "/accepted").count(b"\n")
        seconds = time.perf_counter() - started
        memory = resident_mb(pid)
        print(
            f"  all {lines:,} accepted as JSON lines in {seconds:.2f} s; {memory:.0f} MB resident"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=30_000)
    total = parser.parse_args().messages
    hook = free_port()
    receiver = multiprocessing.Process(target=receive_webhooks, args=(hook,), daemon=True)
    receiver.start()
    try:
        url = f"http://127.0.0.1:{hook}/hook"
        print(f"{total:,} messages accepted by one simulator process; floor: bare aiohttp route")
        measure_floor(total)
        measure("statuses off", WITHOUT_STATUSES, total, url)
        measure("statuses on, 100 a POST", WITH_STATUSES, total, url)
    finally:
        receiver.terminate()


if __name__ == "__main__":
    main()
