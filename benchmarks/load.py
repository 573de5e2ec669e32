"""Measure Prosa under a realistic load on real processes: `python -m benchmarks.load [SECONDS]`.

10,000 conversations have their context in Redis, 50 signed-in users request 100 pages a second, five
customers a second write and the bot answers, and every few seconds another process changes a contact whose
page is requested next. The report compares the figures with targets; there is no floor.
"""

from __future__ import annotations

import asyncio
import html
import random
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import sqlalchemy as sa
from flask import Flask

from benchmarks.databases import app_on, get_backend_name
from benchmarks.dataset import STAFF, email_of, ensure_dataset
from benchmarks.load_report import CounterSnapshot, LoadTimings, report
from benchmarks.processes import children_of, cpu_s, resident_mb
from chatbot.contacts.models import Contact
from chatbot.conversations.context import rebuild_context, store_context
from chatbot.conversations.models import Conversation, ConversationState, Direction, Message
from chatbot.core.db import db
from tests.support.redis_server import RedisServer
from tests.support.stack import Stack
from tests.support.stack_users import PASSWORD

ACTIVE_CONVERSATIONS = 10_000
PAGES_A_SECOND, MESSAGES_A_SECOND = 100, 5
CHANGE_EVERY_S = 4.0
BATCH = 500
# Distribution of 100 requests. It was derived from the refresh rules of the panel's pages before the first
# measurement and has not changed since. With five messages a second an open list reloads its rows once a
# second whatever its filter (`data-live-on="conversation" data-live-every="1"`): half of all requests. The
# list opens with all conversations, so these lead; agents then use their own and the waiting ones. An open
# home page reloads every five seconds, an open thread when its conversation changes and every three seconds
# without a socket. One request in five is a page that a user opens.
PAGE_MIX = {
    "/conversations/rows": 20,
    "/conversations/rows?inbox=mine": 16,
    "/conversations/rows?inbox=waiting": 12,
    "/conversations/rows?inbox=bot": 1,
    "/conversations/rows?inbox=closed": 1,
    "/now": 14,
    "/conversations/{id}/live?since={since}": 16,
    "/conversations/{id}": 7,
    "/contacts/{id}": 6,
    "/conversations/": 4,
    "/": 3,
}
# One message of 25 comes from a customer whose thread is open: eight times the share of such threads.
WATCHED_EVERY = 25
FIRST_BACKGROUND_CONTACT = 80_000  # contacts that write the other messages
FIRST_OPEN_CONTACT = 91_000  # recent contacts: each user has the pages of one open


def fill_contexts(redis: RedisServer) -> float:
    """Store the context of each active conversation in Redis; return the KB that they take."""
    before = redis.admin.info("memory")["used_memory"]
    query = (
        sa.select(Conversation)
        .where(Conversation.state == ConversationState.BOT)
        .order_by(Conversation.last_message_at.desc())
    )
    for offset in range(0, ACTIVE_CONVERSATIONS, BATCH):
        for conversation in db.session.scalars(query.offset(offset).limit(BATCH)):
            store_context(conversation.id, rebuild_context(conversation))
        db.session.commit()
        db.session.expunge_all()
    assert (
        len(list(redis.admin.scan_iter("prosa:conversation:*", count=5000))) == ACTIVE_CONVERSATIONS
    )
    return float(redis.admin.info("memory")["used_memory"] - before) / 1024


async def sign_in(address: str, number: int) -> aiohttp.ClientSession:
    """Sign in a user with an IP address of their own."""
    session = aiohttp.ClientSession(
        address,
        cookie_jar=aiohttp.CookieJar(unsafe=True),
        connector=aiohttp.TCPConnector(limit=0),
        headers={"X-Forwarded-For": f"10.3.0.{number}"},
    )
    async with session.get("/login") as answer:
        token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', await answer.text())
    assert token
    form = {"email": email_of(number), "password": PASSWORD, "csrf_token": token[1]}
    async with session.post("/login", data=form) as answer:
        assert answer.status == 200, answer.status
    return session


class LoadTest:
    def __init__(self, stack: Stack, app: Flask, people: list[aiohttp.ClientSession]) -> None:
        self._stack, self._app, self._people = stack, app, people
        self.timings = LoadTimings()
        self._since = [""] * len(people)

    async def open_threads(self) -> None:
        """Open the threads and keep the position from which each page asks for updates."""
        for turn, person in enumerate(self._people):
            text = await self._read(person, f"/conversations/{FIRST_OPEN_CONTACT + turn}")
            since = re.search(r'/live\?since=([^"]+)"', text)
            assert since
            self._since[turn] = html.unescape(since[1])

    async def run(self, seconds: float) -> LoadTimings:
        """Start all requests at a fixed pace, however long the answers take; wait for all."""
        self.timings = LoadTimings()
        await asyncio.gather(
            self._at_pace(seconds, 1 / PAGES_A_SECOND, self._open_page),
            self._at_pace(seconds, 1 / MESSAGES_A_SECOND, self._send_message),
            self._at_pace(seconds, CHANGE_EVERY_S, self._change_contact),
        )
        return self.timings

    async def _at_pace(self, seconds: float, every_s: float, act: Any) -> None:
        began, acts = time.perf_counter(), []
        for number in range(round(seconds / every_s)):
            await asyncio.sleep(began + number * every_s - time.perf_counter())
            self.timings.late.append(time.perf_counter() - began - number * every_s)
            acts.append(asyncio.create_task(act(number)))
        await asyncio.gather(*acts)

    async def _open_page(self, number: int) -> None:
        turn = number % len(self._people)
        (path,) = random.choices([*PAGE_MIX], [*PAGE_MIX.values()])
        started = time.perf_counter()
        shown = path.format(id=FIRST_OPEN_CONTACT + turn, since=self._since[turn])
        await self._read(self._people[turn], shown)
        self.timings.pages[path].append(time.perf_counter() - started)

    async def _read(self, person: aiohttp.ClientSession, path: str) -> str:
        async with person.get(path) as answer:
            text = await answer.text()
            assert answer.status in (200, 204), f"{path}: {answer.status}"
            return text

    async def _send_message(self, number: int) -> None:
        """Send a message of a customer of the data set, which the bot answers."""
        contact_id = FIRST_BACKGROUND_CONTACT + number
        if number % WATCHED_EVERY == 0:
            contact_id = FIRST_OPEN_CONTACT + number // WATCHED_EVERY % len(self._people)
        message = {"from": f"5511{980_000_000 + contact_id}", "type": "text", "text": "oi"}
        url = f"{self._stack.simulator_address}/_sim/inbound"
        async with aiohttp.ClientSession() as session, session.post(url, json=message) as answer:
            assert answer.status == 200, await answer.text()
        self.timings.written += 1

    async def _change_contact(self, number: int) -> None:
        """Change a contact in another process; the next page must show it."""
        turn = number % len(self._people)
        email = f"{time.time_ns()}@prosa.test"
        await asyncio.to_thread(self._set_email, FIRST_OPEN_CONTACT + turn, email)
        text = await self._read(self._people[turn], f"/contacts/{FIRST_OPEN_CONTACT + turn}")
        self.timings.seen.append(email in text)

    def _set_email(self, contact_id: int, email: str) -> None:
        with self._app.app_context():
            db.session.get_one(Contact, contact_id).email = email
            db.session.commit()


async def read_state(stack: Stack, session: aiohttp.ClientSession) -> CounterSnapshot:
    async with session.get("/cache/stats") as answer:
        stats = await answer.json()
    async with session.get("/health/sql") as answer:
        sql = await answer.json()
    lookups = {name: (kind["hits"], kind["misses"]) for name, kind in stats["namespaces"].items()}
    counted = Counter({(part, place, statement): number for part, place, statement, number in sql})
    return CounterSnapshot(lookups, counted, cpu_s(stack.processes["web"].pid))


async def run_benchmark(stack: Stack, app: Flask, seconds: float) -> None:
    async with AsyncExitStack() as browsers:
        people = [await sign_in(stack.address, number) for number in range(1, STAFF + 1)]
        for person in people:
            browsers.push_async_callback(person.close)
        await measure(stack, LoadTest(stack, app, people), people[0], seconds)


async def measure(
    stack: Stack, load: LoadTest, browser: aiohttp.ClientSession, seconds: float
) -> None:
    await load.open_threads()
    await load.run(15)  # templates are compiled, caches are filled
    await asyncio.sleep(6)  # processes publish their counters every few seconds
    before = await read_state(stack, browser)
    timings = await load.run(seconds)
    web_cpu_s = cpu_s(stack.processes["web"].pid) - before.web_cpu_s
    await asyncio.sleep(6)
    after = await read_state(stack, browser)
    print(f"\n{ACTIVE_CONVERSATIONS} conversations and {STAFF} people")
    report(timings, before, after, seconds, web_cpu_s)


def count_unanswered(first: int) -> int:
    """Count inbound messages that the bot has not answered yet."""
    waiting = sa.select(sa.func.count()).where(Message.id > first, Message.needs_turn)
    found: int = db.session.scalar(waiting) or 0
    db.session.rollback()
    return found


def count_answers(first: int) -> int:
    query = sa.select(sa.func.count()).where(
        Message.id > first,
        Message.direction == Direction.OUTBOUND,
        Message.accepted_at.is_not(None),
    )
    found: int = db.session.scalar(query) or 0
    db.session.rollback()
    return found


def get_last_message_id() -> int:
    found: int = db.session.scalar(sa.select(sa.func.max(Message.id))) or 0
    db.session.rollback()
    return found


def web_memory_mb(stack: Stack) -> Iterable[float]:
    return (resident_mb(pid) for pid in children_of(stack.processes["web"].pid))


def main(seconds: float) -> int:
    url, redis = ensure_dataset(), RedisServer()
    redis.start()
    # A time-out on a busy machine would count as an outage of Redis and empty the cache.
    redis_url = f"{redis.url}?socket_timeout=5&socket_connect_timeout=5"
    stack = Stack(Path(tempfile.mkdtemp(prefix="prosa-bench-")), url, redis_url, TRUSTED_PROXIES=1)
    stack.web = stack.web.replace("wsgi:asgi", "benchmarks.web_with_sql_counts:asgi")
    try:
        with app_on(url, redis_url) as app:
            print(
                f"\nRealistic load, 100,000 contacts and 1,000,000 messages on {get_backend_name(url)}"
            )
            first = get_last_message_id()
            memory_kb = fill_contexts(redis)
            stack.start("simulator", "web", "inbound", "replies", "statuses")
            asyncio.run(run_benchmark(stack, app, seconds))
            print(
                f"\nMemory of Redis for {ACTIVE_CONVERSATIONS} conversations: {memory_kb / 1024:.1f} MB"
            )
            print(f"Web process: {', '.join(f'{mb:.0f} MB' for mb in web_memory_mb(stack))}")
            print(
                f"Answered by the bot: {count_answers(first)}, not yet: {count_unanswered(first)}"
            )
    finally:
        stack.stop()
        redis.kill()
    return 0


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]) if len(sys.argv) > 1 else 40))
