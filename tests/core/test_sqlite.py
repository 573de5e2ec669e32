"""SQLite's write lock passes from thread to thread and is always released."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask

from chatbot.core.db import db, sqlite
from chatbot.core.db.sqlite import SQLiteConnection


@pytest.fixture
def database_path(tmp_path: Path) -> Path:
    path = tmp_path / "locks.db"
    connection = sqlite3.connect(path, factory=SQLiteConnection)
    sqlite.configure_connection(connection, None)
    connection.execute("CREATE TABLE numbers (n INTEGER PRIMARY KEY)")
    connection.close()
    return path


@pytest.fixture
def open_one(database_path: Path) -> Iterator[Callable[[], SQLiteConnection]]:
    made: list[SQLiteConnection] = []

    def make() -> SQLiteConnection:
        connection = sqlite3.connect(
            database_path, factory=SQLiteConnection, check_same_thread=False
        )
        sqlite.configure_connection(connection, None)
        made.append(connection)
        return connection

    yield make
    for connection in made:
        connection.close()


def test_a_waiting_writer_is_woken_when_the_lock_is_released(
    open_one: Callable[[], SQLiteConnection],
) -> None:
    first, second = open_one(), open_one()
    first.begin_immediate()
    entered = threading.Event()

    def write() -> None:
        second.begin_immediate()
        entered.set()
        second.commit()

    thread = threading.Thread(target=write)
    thread.start()
    assert not entered.wait(0.2)
    first.commit()
    assert entered.wait(10)
    thread.join()


@pytest.mark.parametrize("end", ["commit", "rollback", "close"])
def test_every_end_of_a_transaction_releases_the_write_lock(
    open_one: Callable[[], SQLiteConnection], end: str
) -> None:
    first, second = open_one(), open_one()
    first.begin_immediate()
    getattr(first, end)()
    assert not sqlite._write_lock.locked()
    second.begin_immediate()
    assert sqlite._write_lock.locked()
    second.rollback()


def test_a_lock_of_another_process_is_an_error_and_releases_the_write_lock(
    open_one: Callable[[], SQLiteConnection], database_path: Path
) -> None:
    other = sqlite3.connect(
        database_path, isolation_level=None
    )  # like another process: without our lock
    other.execute("BEGIN IMMEDIATE")
    mine = open_one()
    mine.execute("PRAGMA busy_timeout = 50")
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        mine.begin_immediate()
    assert not sqlite._write_lock.locked()
    other.rollback()
    other.close()
    mine.begin_immediate()
    mine.rollback()


def test_without_the_write_lock_sqlite_itself_decides(
    open_one: Callable[[], SQLiteConnection], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_S", 0.05)
    first, second = open_one(), open_one()
    second.execute("PRAGMA busy_timeout = 50")
    first.begin_immediate()
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        second.begin_immediate()
    assert sqlite._write_lock.locked(), "the first connection still holds it"
    first.commit()
    assert not sqlite._write_lock.locked()


def test_through_an_engine_the_error_is_one_of_sqlalchemys(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Loops that survive database outages catch SQLAlchemy's error only."""
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_S", 0.05)
    other = sqlite3.connect(db.engine.url.database or "", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    db.engine.dispose()  # new connections have the shorter timeout
    with pytest.raises(sa.exc.OperationalError, match="locked"), db.engine.begin():
        pass
    assert not sqlite._write_lock.locked()
    other.rollback()
    other.close()
    with db.engine.begin() as connection:
        assert connection.scalar(sa.select(1)) == 1


def test_many_threads_lose_no_write(open_one: Callable[[], SQLiteConnection]) -> None:
    connections = [open_one() for _ in range(8)]

    def write(connection: SQLiteConnection, start: int) -> None:
        for number in range(start, start + 50):
            connection.begin_immediate()
            connection.execute("INSERT INTO numbers VALUES (?)", (number,))
            connection.commit()

    threads = [
        threading.Thread(target=write, args=(connection, 50 * number))
        for number, connection in enumerate(connections)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    (count,) = connections[0].execute("SELECT count(*) FROM numbers").fetchone()
    assert count == 400


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_child_process_does_not_wait_for_its_parents_write_lock(
    open_one: Callable[[], SQLiteConnection],
) -> None:
    parent = open_one()
    parent.begin_immediate()
    child = os.fork()
    if child == 0:
        os._exit(1 if sqlite._write_lock.locked() else 0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    parent.rollback()
