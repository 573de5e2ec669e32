"""The Procfile's default formation fits Heroku's smallest Redis and PostgreSQL: 20 connections each."""

from __future__ import annotations

import json
import threading
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import redis
import sqlalchemy as sa

from config import ROOT
from tests.conftest import TEST_DATABASE_URL
from tests.flows.conftest import StackMaker
from tests.support.panel_session import PanelSession
from tests.support.ports import wait_for
from tests.support.redis_server import RedisServer
from tests.support.stack import QUEUES, Stack
from tests.support.stack_users import create_users

pytestmark = pytest.mark.flow

MOST = 20
SQL_CLIENTS = """
SELECT CAST(pid AS TEXT) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
PAUSE_S = 0.1
CLIENTS = 16  # as many as the two web processes have threads
PEOPLE = [f"55119876{n:05d}" for n in range(12)]


class ConnectionCount:
    """The most connections seen at once, and by which name they went then."""

    def __init__(self, list_names: Callable[[], list[str]]) -> None:
        self._list_names = list_names
        self.most = 0
        self.by_name: dict[str, int] = {}

    def sample(self) -> None:
        names = self._list_names()
        if len(names) > self.most:
            self.most, self.by_name = len(names), dict(Counter(names))


def list_redis_clients(server: RedisServer) -> list[str]:
    """Return the names of all connections but the test's own; none during an outage."""
    try:
        clients = server.admin.client_list()
    except redis.RedisError:
        return []
    return [client["name"] for client in clients if client["user"] != "default"]


def list_sql_clients(url: str) -> list[str]:
    """Return the process of each connection to the test's PostgreSQL but this one; none for SQLite."""
    if url.startswith("sqlite"):
        return []
    engine = sa.create_engine(
        url.replace("postgresql:", "postgresql+psycopg:"), poolclass=sa.NullPool
    )
    with engine.connect() as connection:
        return list(connection.scalars(sa.text(SQL_CLIENTS)))


@contextmanager
def counted(list_names: Callable[[], list[str]]) -> Iterator[ConnectionCount]:
    count, done = ConnectionCount(list_names), threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            count.sample()

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield count
    finally:
        done.set()
        watcher.join()


@contextmanager
def repeated(actions: list[Callable[[], None]]) -> Iterator[None]:
    """Each action again and again, in a thread of its own, with a short pause."""
    done = threading.Event()

    def repeat(action: Callable[[], None]) -> None:
        while not done.wait(PAUSE_S):
            action()

    threads = [threading.Thread(target=repeat, args=(action,)) for action in actions]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        done.set()
        for thread in threads:
            thread.join()


@pytest.fixture
def stack_database_url(request: pytest.FixtureRequest) -> str:
    url: str = request.getfixturevalue("postgresql_url" if TEST_DATABASE_URL else "sqlite_url")
    return url


def test_twenty_connections_are_enough_for_everything_at_once(
    make_stack: StackMaker, own_redis: RedisServer, stack_database_url: str
) -> None:
    formation = [line.partition(":")[0] for line in (ROOT / "Procfile").read_text().splitlines()]
    assert set(formation) == {"release", "web", *QUEUES, "scheduler"}
    stack = make_stack(own_redis.url, WEB_CONCURRENCY=2, database_url=stack_database_url)
    ours = set(list_sql_clients(stack_database_url))
    stack.start()
    stack.flask("demo", "load")
    stack.flask("templates", "sync")
    create_users(stack)
    panel_sessions = [PanelSession(stack) for _ in range(CLIENTS)]
    assert [panel_session.sign_in() for panel_session in panel_sessions] == [303] * CLIENTS
    codes: Counter[int] = Counter()
    actions = [
        lambda v=panel_session: codes.update([v.get("/")]) for panel_session in panel_sessions
    ]
    with (
        counted(lambda: list_redis_clients(own_redis)) as count,
        counted(lambda: sorted({*list_sql_clients(stack_database_url)} - ours)) as sql_count,
        repeated(actions),
    ):
        for person in PEOPLE:
            stack.send_as_customer(person, "oi")
        campaign = stack.flask(
            *("campaigns", "create", "--name", "A", "--template", "lembrete_fatura", "--all"),
            *("--param", "1=field:name", "--param", "2=text:10", "--start"),
        )
        wait_for(lambda: all(stack.replies_to(person) for person in PEOPLE), 60)
        wait_for(lambda: stack.figures(int(campaign))["pending"] == 0, 60, every=1)
        for _ in range(2):
            lose_redis(own_redis, stack)
    print(count.most, count.by_name, sql_count.most)
    assert codes[200]
    assert set(codes) <= {200, 429}  # all come from one address
    assert 10 <= count.most <= MOST, count.by_name
    assert sql_count.most <= MOST


def lose_redis(server: RedisServer, stack: Stack) -> None:
    """Let Redis hang until all processes go on without it; return when they use it again."""
    server.freeze()
    wait_for(lambda: not has_redis(stack), 30)
    server.thaw()
    wait_for(lambda: has_redis(stack), 30)
    wait_for(lambda: len(list_redis_clients(server)) >= len(QUEUES), 30)


def has_redis(stack: Stack) -> bool:
    with urllib.request.urlopen(f"{stack.address}/health", timeout=10) as answer:
        return bool(json.load(answer)["checks"]["redis"])
