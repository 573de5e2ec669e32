"""`python -m benchmarks.load [SECONDS]`: the guide's load, on real processes.

10,000 conversations are alive with their context in Redis, 50 people are signed in and ask for 100 pages
a second, five customers a second write (the simulator brings it signed, the bot answers), and now and
then another process changes a contact that somebody looks at.
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

from benchmarks.databases import name_of, prosa_on
from benchmarks.dataset import STAFF, email_of, ensured
from benchmarks.load_report import Felt, State, report
from benchmarks.processes import children_of, cpu_s, resident_mb
from chatbot.contacts.models import Contact
from chatbot.conversations.context import rebuild_context, store_context
from chatbot.conversations.models import Conversation, ConversationState, Direction, Message
from chatbot.core.db import db
from tests.support.redis_server import RedisServer
from tests.support.stack import Stack
from tests.support.staff import PASSWORD

ALIVE = 10_000
PAGES_A_SECOND, MESSAGES_A_SECOND = 100, 5
CHANGE_EVERY_S = 4.0
BATCH = 500
# What a hundred requests of fifty people ask for. Decided from what the panel's pages ask by themselves,
# before anything was measured, and not changed since. With five messages a second something moves at
# every moment, so an open list asks for its rows once a second whichever filter it shows
# (`data-live-on="conversation" data-live-every="1"`): half of all requests. The list opens at "all", and
# so it leads; an agent then works from his own and from who waits; hardly anybody watches the bot's or
# the closed ones. An open home page asks every five seconds, an open thread when its own conversation
# moves and every three seconds without a socket. One request in five is a page that somebody opens.
MIX = {
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
# One message in so many comes from somebody whose thread is on a screen: eight times what chance gives.
WATCHED_EVERY = 25
FIRST_UNSEEN = 80_000  # who else writes
FIRST_SHOWN = 91_000  # each person has a conversation and its contact before him: recent ones


def fill_contexts(redis: RedisServer) -> float:
    """The contexts of so many conversations, as their last turn would have left them; KB of Redis."""
    before = redis.admin.info("memory")["used_memory"]
    query = (
        sa.select(Conversation)
        .where(Conversation.state == ConversationState.BOT)
        .order_by(Conversation.last_message_at.desc())
    )
    for offset in range(0, ALIVE, BATCH):
        for conversation in db.session.scalars(query.offset(offset).limit(BATCH)):
            store_context(conversation.id, rebuild_context(conversation))
        db.session.commit()
        db.session.expunge_all()
    assert len(list(redis.admin.scan_iter("prosa:conversation:*", count=5000))) == ALIVE
    return float(redis.admin.info("memory")["used_memory"] - before) / 1024


async def sign_in(address: str, number: int) -> aiohttp.ClientSession:
    """A person's browser, at an address of its own."""
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


class Load:
    def __init__(self, stack: Stack, app: Flask, people: list[aiohttp.ClientSession]) -> None:
        self._stack, self._app, self._people = stack, app, people
        self.felt = Felt()
        self._since = [""] * len(people)

    async def open_threads(self) -> None:
        """Each page says from which message on it is to be kept fresh."""
        for turn, person in enumerate(self._people):
            text = await self._read(person, f"/conversations/{FIRST_SHOWN + turn}")
            since = re.search(r'/live\?since=([^"]+)"', text)
            assert since
            self._since[turn] = html.unescape(since[1])

    async def run(self, seconds: float) -> Felt:
        """Everything at its pace, however long each answer takes; returns when all are answered."""
        self.felt = Felt()
        await asyncio.gather(
            self._at_pace(seconds, 1 / PAGES_A_SECOND, self._look),
            self._at_pace(seconds, 1 / MESSAGES_A_SECOND, self._write),
            self._at_pace(seconds, CHANGE_EVERY_S, self._change),
        )
        return self.felt

    async def _at_pace(self, seconds: float, every_s: float, act: Any) -> None:
        began, acts = time.perf_counter(), []
        for number in range(round(seconds / every_s)):
            await asyncio.sleep(began + number * every_s - time.perf_counter())
            self.felt.late.append(time.perf_counter() - began - number * every_s)
            acts.append(asyncio.create_task(act(number)))
        await asyncio.gather(*acts)

    async def _look(self, number: int) -> None:
        turn = number % len(self._people)
        (path,) = random.choices([*MIX], [*MIX.values()])
        started = time.perf_counter()
        shown = path.format(id=FIRST_SHOWN + turn, since=self._since[turn])
        await self._read(self._people[turn], shown)
        self.felt.pages[path].append(time.perf_counter() - started)

    async def _read(self, person: aiohttp.ClientSession, path: str) -> str:
        async with person.get(path) as answer:
            text = await answer.text()
            assert answer.status in (200, 204), f"{path}: {answer.status}"
            return text

    async def _write(self, number: int) -> None:
        """A customer of the data set, whom the bot answers."""
        contact_id = FIRST_UNSEEN + number
        if number % WATCHED_EVERY == 0:
            contact_id = FIRST_SHOWN + number // WATCHED_EVERY % len(self._people)
        message = {"from": f"5511{980_000_000 + contact_id}", "type": "text", "text": "oi"}
        url = f"{self._stack.simulator_address}/_sim/inbound"
        async with aiohttp.ClientSession() as session, session.post(url, json=message) as answer:
            assert answer.status == 200, await answer.text()
        self.felt.written += 1

    async def _change(self, number: int) -> None:
        """Another process changes a contact; whoever looks next must see it."""
        turn = number % len(self._people)
        email = f"{time.time_ns()}@prosa.test"
        await asyncio.to_thread(self._set_email, FIRST_SHOWN + turn, email)
        text = await self._read(self._people[turn], f"/contacts/{FIRST_SHOWN + turn}")
        self.felt.seen.append(email in text)

    def _set_email(self, contact_id: int, email: str) -> None:
        with self._app.app_context():
            db.session.get_one(Contact, contact_id).email = email
            db.session.commit()


async def read_state(stack: Stack, session: aiohttp.ClientSession) -> State:
    async with session.get("/cache/stats") as answer:
        stats = await answer.json()
    async with session.get("/health/sql") as answer:
        sql = await answer.json()
    looks = {name: (kind["hits"], kind["misses"]) for name, kind in stats["namespaces"].items()}
    counted = Counter({(part, place, statement): number for part, place, statement, number in sql})
    return State(looks, counted, cpu_s(stack.processes["web"].pid))


async def everything(stack: Stack, app: Flask, seconds: float) -> None:
    async with AsyncExitStack() as browsers:
        people = [await sign_in(stack.address, number) for number in range(1, STAFF + 1)]
        for person in people:
            browsers.push_async_callback(person.close)
        await measure(stack, Load(stack, app, people), people[0], seconds)


async def measure(stack: Stack, load: Load, browser: aiohttp.ClientSession, seconds: float) -> None:
    await load.open_threads()
    await load.run(15)  # pages compile, the first look of each fills
    await asyncio.sleep(6)  # each process adds its counts to the sums every few seconds
    before = await read_state(stack, browser)
    felt = await load.run(seconds)
    web_cpu_s = cpu_s(stack.processes["web"].pid) - before.web_cpu_s
    await asyncio.sleep(6)
    after = await read_state(stack, browser)
    print(f"\n{ALIVE} conversations and {STAFF} people")
    report(felt, before, after, seconds, web_cpu_s)


def unanswered(first: int) -> int:
    """Messages that came in and wait for an answer still; the bot had time."""
    waiting = sa.select(sa.func.count()).where(Message.id > first, Message.needs_turn)
    found: int = db.session.scalar(waiting) or 0
    db.session.rollback()
    return found


def answers(first: int) -> int:
    query = sa.select(sa.func.count()).where(
        Message.id > first,
        Message.direction == Direction.OUTBOUND,
        Message.accepted_at.is_not(None),
    )
    found: int = db.session.scalar(query) or 0
    db.session.rollback()
    return found


def last_message() -> int:
    found: int = db.session.scalar(sa.select(sa.func.max(Message.id))) or 0
    db.session.rollback()
    return found


def web_memory_mb(stack: Stack) -> Iterable[float]:
    return (resident_mb(pid) for pid in children_of(stack.processes["web"].pid))


def main(seconds: float) -> int:
    url, redis = ensured(), RedisServer()
    redis.start()
    # A machine that others load must not look like an outage of Redis, which would empty the cache.
    patient = f"{redis.url}?socket_timeout=5&socket_connect_timeout=5"
    stack = Stack(Path(tempfile.mkdtemp(prefix="prosa-bench-")), url, patient, TRUSTED_PROXIES=1)
    stack.web = stack.web.replace("wsgi:asgi", "benchmarks.counted_web:asgi")
    try:
        with prosa_on(url, patient) as app:
            print(f"\nThe guide's load, 100,000 contacts and 1,000,000 messages on {name_of(url)}")
            first = last_message()
            memory_kb = fill_contexts(redis)
            stack.start("simulator", "web", "inbound", "replies", "statuses")
            asyncio.run(everything(stack, app, seconds))
            print(f"\nRedis's memory for {ALIVE} conversations: {memory_kb / 1024:.1f} MB")
            print(f"The web process: {', '.join(f'{mb:.0f} MB' for mb in web_memory_mb(stack))}")
            print(f"Answered by the bot: {answers(first)}, waiting still: {unanswered(first)}")
    finally:
        stack.stop()
        redis.kill()
    return 0


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]) if len(sys.argv) > 1 else 40))
