"""Web process with many WebSocket clients, and timings of live events and pages."""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import redis

from chatbot.core.live_events import PUBSUB_CHANNEL
from tests.support.ports import is_responding, wait_for
from tests.support.redis_server import RedisServer
from tests.support.stack import ROOT, Stack
from tests.support.stack_users import PASSWORD, create_users

PAGE = "/conversations/rows"
PAGE_EVERY_S = 0.25
MAX_CONNECTING = 50  # at once


class WebProcess:
    """Web process on SQLite with the demo data, and a private Redis."""

    def __init__(self, command: Sequence[str]) -> None:
        self.redis = RedisServer()
        self.redis.start()
        self.home = Path(tempfile.mkdtemp(prefix="prosa-bench-"))
        self.stack = Stack(
            self.home,
            f"sqlite:///{self.home / 'prosa.db'}",
            self.redis.url,
            LIVE_SOCKETS_PER_SESSION=100_000,  # all sockets have one session and address
            LIVE_SOCKETS_PER_ADDRESS=100_000,
            LIVE_HANDSHAKES_PER_MINUTE=1_000_000,
        )
        self.stack.flask("db", "upgrade")
        self.stack.flask("demo", "load")
        create_users(self.stack)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", *command],
            cwd=ROOT,
            env=self.stack.environment,
            stdout=subprocess.DEVNULL,
            stderr=(self.home / "web.log").open("wb"),
        )
        wait_for(lambda: is_responding(f"{self.stack.address}/health"), 60)

    @property
    def worker(self) -> int:
        """Process that serves requests; its parent, the gunicorn arbiter, only supervises."""
        found = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(self.process.pid)],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        return int(found.stdout.split()[0])

    def memory_kb(self) -> int:
        status = Path(f"/proc/{self.worker}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1])  # type: ignore[index]

    def cpu_s(self) -> float:
        fields = Path(f"/proc/{self.worker}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / 100

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(30)
        self.stack.stop()
        self.redis.kill()


@contextmanager
def web_process(*command: str) -> Iterator[WebProcess]:
    found = WebProcess(command)
    try:
        yield found
    finally:
        found.stop()


@asynccontextmanager
async def signed_in_session(
    address: str, role: str = "manager"
) -> AsyncIterator[aiohttp.ClientSession]:
    """Yield a signed-in session; cookies of an IP address need the unsafe jar."""
    connector = aiohttp.TCPConnector(limit=0)
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(address, connector=connector, cookie_jar=jar) as session:
        async with session.get("/login") as answer:
            token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', await answer.text())
        assert token
        form = {"email": f"{role}@prosa.test", "password": PASSWORD, "csrf_token": token[1]}
        async with session.post("/login", data=form) as answer:
            assert answer.status == 200, answer.status
        yield session


@dataclass(slots=True)
class SocketTimings:
    """Seconds that each live event took to each socket, and that each page took meanwhile."""

    event_delays: list[float] = field(default_factory=list)
    pages: list[float] = field(default_factory=list)


class SocketClients:
    def __init__(self, session: aiohttp.ClientSession, address: str) -> None:
        self._session = session
        self._origin = {"Origin": address}
        self._published_at: dict[int, float] = {}
        self.sockets: list[aiohttp.ClientWebSocketResponse] = []
        self._readers: list[asyncio.Task[None]] = []
        self.timings = SocketTimings()
        self._epoch = secrets.token_hex(6)
        self._number = 0

    async def gather(self, size: int) -> float:
        """Open `size` sockets; return the seconds that took."""
        started = time.perf_counter()
        slots = asyncio.Semaphore(MAX_CONNECTING)
        await asyncio.gather(*(self._open(slots) for _ in range(size)))
        return time.perf_counter() - started

    async def _open(self, slots: asyncio.Semaphore) -> None:
        async with slots:
            socket = await self._session.ws_connect("/live?watch=campaign", headers=self._origin)
            await socket.receive(30)  # the `hello` event
        self.sockets.append(socket)
        self._readers.append(asyncio.create_task(self._read(socket)))

    async def _read(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        async for message in socket:
            now = time.perf_counter()
            event = json.loads(message.data)
            if event["kind"] == "beat":
                await socket.send_str("beat")
            number = int(event["at"].partition("/")[2] or 0)
            if event["kind"] == "campaign" and number in self._published_at:
                self.timings.event_delays.append(now - self._published_at[number])

    def publish_event(self, client: redis.Redis) -> None:
        self._number += 1
        event = {"epoch": self._epoch, "seq": self._number, "kind": "campaign", "id": 1}
        self._published_at[self._number] = time.perf_counter()
        client.publish(PUBSUB_CHANNEL, json.dumps(event))

    async def measure(
        self, client: redis.Redis, seconds: int, *, every_s: float = 1.0
    ) -> SocketTimings:
        """Publish live events at a steady pace while a user reads pages; return the timings."""
        self.publish_event(client)
        await asyncio.sleep(1)  # the first event starts an epoch
        self.timings = SocketTimings()
        reading = asyncio.create_task(self._read_pages(seconds))
        for _ in range(round(seconds / every_s)):
            self.publish_event(client)
            await asyncio.sleep(every_s)
        await reading
        return self.timings

    async def _read_pages(self, seconds: int) -> None:
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            started = time.perf_counter()
            async with self._session.get(PAGE) as answer:
                await answer.read()
                assert answer.status == 200, answer.status
            self.timings.pages.append(time.perf_counter() - started)
            await asyncio.sleep(PAGE_EVERY_S)

    async def leave(self) -> None:
        for task in self._readers:
            task.cancel()
        await asyncio.gather(*(socket.close() for socket in self.sockets), return_exceptions=True)


@contextmanager
def locked_database(database: Path, seconds: float) -> Iterator[None]:
    """Hold SQLite's write lock for so many seconds, as an import or a backup may."""
    holder = sqlite3.connect(database, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    asyncio.get_running_loop().call_later(seconds, holder.rollback)
    yield
    holder.close()


def format_quantile_ms(values: Sequence[float], share: float) -> str:
    """Format a quantile of seconds in milliseconds."""
    if not values:
        return "–"
    cut = (
        statistics.quantiles(values, n=1000, method="inclusive")
        if len(values) > 1
        else values * 999
    )
    return f"{1000 * cut[min(998, round(share * 1000) - 1)]:.0f} ms"
