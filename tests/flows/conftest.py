from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.redis_server import RedisServer
from tests.support.stack import Stack

StackMaker = Callable[..., Stack]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What fails here fails between processes: the report shows how each of them stood."""
    report = yield
    if report.failed and call.when == "call":
        for value in getattr(item, "funcargs", {}).values():
            if isinstance(value, Stack):
                report.sections.append(("how the stack stands", value.describe_processes()))
    return report


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """A Redis of this test's own, to be killed and flushed at will. Whatever the flow was, it leaves
    nothing of ours that stays for ever."""
    server = RedisServer()
    server.start()
    yield server
    if server.is_running:
        server.thaw()
        without_ttl = server.keys_without_ttl()
        server.kill()
        assert without_ttl == []


@pytest.fixture
def make_stack(sqlite_url: str, tmp_path: Path) -> Iterator[StackMaker]:
    """`make_stack(redis_url, **environment)` gives a stack on a migrated database, not started."""
    made: list[Stack] = []

    def make(redis_url: str | None, **changes: Any) -> Stack:
        stack = Stack(tmp_path, changes.pop("database_url", sqlite_url), redis_url, **changes)
        made.append(stack)
        return stack

    yield make
    for stack in made:
        stack.stop()


@pytest.fixture
def stack(make_stack: StackMaker, own_redis: RedisServer) -> Stack:
    """Everything running, with a Redis."""
    return make_stack(own_redis.url).start()
