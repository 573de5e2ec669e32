"""Measure frequent operations of the panel without and with Redis: `python -m benchmarks.redis_table`.

The operations are functions and pages of the product, on the data set of `benchmarks.dataset`, in two
applications that differ only in REDIS_ENABLED. Pages are requested through a WSGI test client. The floors
are one round trip to Redis through the same client, and a Flask route that answers "ok".
"""

from __future__ import annotations

import itertools
import logging
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from flask import Flask
from limits import parse

from benchmarks.databases import app_on, get_backend_name
from benchmarks.dataset import STAFF, email_of, ensure_dataset
from chatbot.accounts.session_user import session_user_cache_entry
from chatbot.conversations.inbox.queries import Inbox, get_inbox
from chatbot.core import redis as prosa_redis
from chatbot.core.db import db, read_only
from chatbot.extensions import cache, limiter
from chatbot.panel.profile import get_profile
from chatbot.panel.queries import get_dashboard
from tests.support.clients import PanelClient, make_client
from tests.support.redis_server import RedisServer
from tests.support.stack_users import PASSWORD

MIN_RUNS, MIN_SECONDS = 30, 1.5  # of each operation
PEOPLE = 5  # users who open pages in turn, since one may open 600 a minute
CONTACTS = 25  # all are cached after the warm-up
LISTS = (Inbox.ALL, Inbox.WAITING, Inbox.MINE, Inbox.CLOSED)
UNLIMITED = parse("100000000 per minute")

Operation = Callable[[int], object]


def find_user(turn: int) -> object:
    number = turn % STAFF + 1
    return cache.get_or_compute(session_user_cache_entry(f"{number}:0", f"session-of-{number}"))


def list_conversations(turn: int) -> object:
    return get_inbox(LISTS[turn % len(LISTS)], turn % STAFF + 1)


def open_profile(turn: int) -> object:
    return get_profile(turn % CONTACTS + 1)


def open_dashboard(_turn: int) -> object:
    return get_dashboard()


def check_rate(turn: int) -> object:
    return limiter.limiter.hit(UNLIMITED, f"user:{turn % STAFF}")


def get_redis_key(turn: int) -> object:
    return prosa_redis.client().get(f"prosa:bench:{turn % STAFF}")


OPERATIONS: dict[str, Operation] = {
    "find a user (of a session)": find_user,
    "list conversations": list_conversations,
    "a contact's profile": open_profile,
    "dashboard metrics": open_dashboard,
    "rate-limit check": check_rate,
}
PAGES = {"the page `/`": "/", "the page `/conversations/`": "/conversations/"}


@dataclass(frozen=True, slots=True)
class Times:
    """Milliseconds: median of the wall time, and mean CPU time of this process."""

    median_ms: float
    cpu_ms: float

    def __str__(self) -> str:
        return f"{self.median_ms:.2f} ({self.cpu_ms:.2f})"


def measure(operation: Operation) -> Times:
    """Measure an operation, with what a request does at its end, after a warm-up."""
    turns = itertools.count()
    for _ in range(MIN_RUNS):
        operation(next(turns))
    taken: list[float] = []
    began, began_cpu = time.perf_counter(), time.process_time()
    while len(taken) < MIN_RUNS or time.perf_counter() - began < MIN_SECONDS:
        started = time.perf_counter()
        operation(next(turns))
        taken.append(time.perf_counter() - started)
    cpu_s = time.process_time() - began_cpu
    return Times(1000 * statistics.median(taken), 1000 * cpu_s / len(taken))


def in_read_transaction(operation: Operation) -> Operation:
    """Wrap an operation in a read-only transaction, as a GET does."""

    def call(turn: int) -> None:
        with read_only():
            operation(turn)
            db.session.rollback()

    return call


def request_page(app: Flask, path: str, people: list[PanelClient]) -> Operation:
    def call(turn: int) -> None:
        answer = people[turn % len(people)].get(path)
        assert answer.status_code == 200, answer.status

    return call


def sign_in_people(app: Flask) -> list[PanelClient]:
    people = [make_client(app, f"10.0.0.{number}") for number in range(PEOPLE)]
    for number, person in enumerate(people, 1):
        form = {"email": email_of(number), "password": PASSWORD}
        assert person.post("/login", data=form).status_code == 303
    return people


def measure_app(app: Flask) -> dict[str, Times]:
    found = {
        name: measure(in_read_transaction(operation)) for name, operation in OPERATIONS.items()
    }
    people = sign_in_people(app)
    return found | {name: measure(request_page(app, path, people)) for name, path in PAGES.items()}


def measure_bare_page() -> Times:
    """Measure the floor of a page: a bare Flask route through the same test client."""
    app = Flask("bare")
    app.add_url_rule("/", view_func=lambda: "ok")
    return measure(request_page(app, "/", [make_client(app)]))


@contextmanager
def application(url: str, redis_url: str, enabled: bool) -> Iterator[Flask]:
    with app_on(url, redis_url, REDIS_ENABLED=str(enabled).lower()) as app:
        yield app


def print_table(
    without: dict[str, Times], with_redis: dict[str, Times], trip: Times, page: Times
) -> None:
    print("\n| median ms (CPU ms) | without Redis | with Redis | ratio | bare floor |")
    print("|---|---|---|---|---|")
    for name, slow in without.items():
        fast, floor = with_redis[name], page if name in PAGES else trip
        ratio = slow.median_ms / fast.median_ms
        print(f"| {name} | {slow} | {fast} | {ratio:.1f}× | {floor} |")


def main() -> int:
    logging.disable(logging.WARNING)
    url = ensure_dataset()
    redis = RedisServer()
    redis.start()
    with ExitStack() as stack:
        stack.callback(redis.kill)
        with application(url, redis.url, False) as app:
            without = measure_app(app)
        with application(url, redis.url, True) as app:
            with_redis = measure_app(app)
            trip, page = measure(get_redis_key), measure_bare_page()
        print(
            "\nTime of each operation without and with Redis: 100,000 contacts, 1,000,000 messages,"
            f" {get_backend_name(url)}."
        )
        print(
            "Floors: one round trip to Redis through the same client; for pages a bare Flask route"
        )
        print_table(without, with_redis, trip, page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
