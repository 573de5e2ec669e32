"""The Procfile's default formation fits the smallest Redis that Heroku has: 20 connections."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from config import ROOT
from tests.flows.conftest import StackMaker
from tests.support.panel_session import PanelSession
from tests.support.ports import wait_for
from tests.support.redis_server import RedisServer
from tests.support.stack import QUEUES
from tests.support.stack_users import create_users

pytestmark = pytest.mark.flow

MOST = 20
PAUSE_S = 0.1
CLIENTS = 16  # as many as the two web processes have threads
PEOPLE = [f"55119876{n:05d}" for n in range(12)]


class ConnectionCount:
    """The most connections seen at once, and by which name they went then."""

    def __init__(self) -> None:
        self.most = 0
        self.by_name: dict[str, int] = {}

    def sample(self, server: RedisServer) -> None:
        names = [client["name"] for client in server.admin.client_list() if not is_ours(client)]
        if len(names) > self.most:
            self.most, self.by_name = len(names), dict(Counter(names))


def is_ours(client: dict[str, str]) -> bool:
    """The test's own look."""
    return client["user"] == "default"


@contextmanager
def counted(server: RedisServer) -> Iterator[ConnectionCount]:
    count, done = ConnectionCount(), threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            count.sample(server)

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


def test_twenty_connections_are_enough_for_everything_at_once(
    make_stack: StackMaker, own_redis: RedisServer
) -> None:
    formation = [line.partition(":")[0] for line in (ROOT / "Procfile").read_text().splitlines()]
    assert set(formation) == {"release", "web", *QUEUES, "scheduler"}
    stack = make_stack(own_redis.url, WEB_CONCURRENCY=2)
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
    with counted(own_redis) as count, repeated(actions):
        for person in PEOPLE:
            stack.send_as_customer(person, "oi")
        campaign = stack.flask(
            *("campaigns", "create", "--name", "A", "--template", "lembrete_fatura", "--all"),
            *("--param", "1=field:name", "--param", "2=text:10", "--start"),
        )
        wait_for(lambda: all(stack.replies_to(person) for person in PEOPLE), 60)
        wait_for(lambda: stack.figures(int(campaign))["pending"] == 0, 60, every=1)
    print(count.most, count.by_name)
    assert codes[200]
    assert set(codes) <= {200, 429}  # all come from one address
    assert 10 <= count.most <= MOST, count.by_name
