"""A forked child (gunicorn with preload_app, RQ's job child process) shares no socket and no lock with
its parent.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from chatbot.core.redis import BreakerPool, create_blocking_client, create_pool
from tests.support.ports import wait_for
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")


@pytest.fixture
def pool(redis_server: RedisServer) -> Iterator[BreakerPool]:
    made = create_pool(redis_server.url, max_connections=4)
    yield made
    made.disconnect()


@pytest.fixture
def client(pool: BreakerPool) -> redis.Redis:
    return redis.Redis(connection_pool=pool)


def fork_child(action: Callable[[], object]) -> int:
    """Fork a child that runs `action`; return its process id."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            signal.alarm(20)
            action()
            code = 0
        finally:
            os._exit(code)
    return pid


def wait_exit_code(pid: int) -> int:
    """Wait for a child; return its exit code, 0 if its action returned."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_child_has_connections_of_its_own(
    client: redis.Redis, pool: BreakerPool, redis_server: RedisServer
) -> None:
    blocking = create_blocking_client(redis_server.url, "t", timeout_s=5)
    ours = {client.client_id(), blocking.client_id()}

    def use() -> None:
        assert not ours & {client.client_id(), blocking.client_id()}

    with pool._lock:  # a thread of the parent may hold it at the fork
        child = fork_child(use)
    assert wait_exit_code(child) == 0
    assert ours == {client.client_id(), blocking.client_id()}
    blocking.connection_pool.disconnect()


def test_no_child_reads_the_reply_of_another(client: redis.Redis) -> None:
    client.ping()

    def ask_under_own_name() -> None:
        failures: list[str] = []

        def ask() -> None:
            name = f"{os.getpid()}-{threading.get_ident()}"
            for turn in range(100):
                client.set(name, f"{name}-{turn}", ex=60)
                if client.get(name) != f"{name}-{turn}".encode():
                    failures.append(name)

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []

    children = [fork_child(ask_under_own_name) for _ in range(3)]
    assert [wait_exit_code(child) for child in children] == [0, 0, 0]


def test_a_child_forked_during_an_outage_probes_for_itself(
    pool: BreakerPool, client: redis.Redis, redis_server: RedisServer
) -> None:
    redis_server.kill()
    with pytest.raises(redis.RedisError):
        client.ping()
    started = Path(os.environ.get("TMPDIR", "/tmp")) / f"prosa-{os.getpid()}-back"
    started.unlink(missing_ok=True)

    def wait_until_back() -> None:
        with pytest.raises(redis.RedisError):
            client.ping()
        started.touch()
        wait_for(lambda: not pool.breaker.is_open, 8)
        assert client.ping()

    child = fork_child(wait_until_back)
    wait_for(started.exists, 5)
    redis_server.start()
    assert wait_exit_code(child) == 0
    started.unlink()
