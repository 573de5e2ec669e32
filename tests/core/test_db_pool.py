from __future__ import annotations

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from flask import Flask

from chatbot.core.db import db, is_postgresql
from chatbot.core.db.pool import ReservingPool, use_reserve


def make_pool(timeout_s: float) -> ReservingPool:
    def connect() -> sqlite3.Connection:
        return sqlite3.connect(":memory:", check_same_thread=False)

    return ReservingPool(connect, pool_size=1, max_overflow=2, timeout=timeout_s)


def test_threads_that_need_a_second_connection_never_block_each_other() -> None:
    pool, ready = make_pool(5), threading.Barrier(6)

    def take_two(_number: int) -> None:
        ready.wait()
        for _ in range(20):
            first = pool.connect()
            second = pool.connect()
            second.close()
            first.close()

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(take_two, range(6)))
    assert pool.checkedout() == 0


def test_the_reserved_connection_is_free_while_all_others_are_in_use() -> None:
    pool = make_pool(0.01)
    with ThreadPoolExecutor(1) as a, ThreadPoolExecutor(1) as b:
        held = [thread.submit(pool.connect).result() for thread in (a, b)]
        with pytest.raises(sa.exc.TimeoutError, match=r"within 0\.01 s"):
            pool.connect()
        with use_reserve():
            pool.connect().close()
        held.pop().close()
        pool.connect().close()
        held.pop().close()


def test_connections_to_postgresql_have_time_limits(richest_app: Flask) -> None:
    with db.engine.connect() as connection:
        if not is_postgresql(connection):
            pytest.skip("no PostgreSQL here")
        assert connection.scalar(sa.text("SHOW statement_timeout")) == "1min"
        parameters = connection.connection.driver_connection.info.get_parameters()
        connection.execute(sa.text("SET LOCAL statement_timeout = 1"))
        with pytest.raises(sa.exc.OperationalError, match="statement timeout"):
            connection.execute(sa.text("SELECT pg_sleep(60)"))
    assert set(parameters) >= {"keepalives_idle", "tcp_user_timeout", "connect_timeout"}
