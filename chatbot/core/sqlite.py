"""SQLite as one machine's database: how a connection is set, and its one write lock, taken in turns.

Who finds the lock taken sleeps inside of SQLite, in steps of 1 to 100 ms, and may be passed by others
for long. Of a process's threads only one asks for it at a time, and the next is woken as soon as it is
free; between processes it stays as SQLite does it.
"""

from __future__ import annotations

import sqlite3
import threading

MINIMUM = (3, 38, 0)  # UPDATE ... FROM, RETURNING and the ->> operator
BUSY_TIMEOUT_S = 15.0

_turn = threading.Lock()


class Connection(sqlite3.Connection):
    """Keeps its process's turn from `begin_writing` to the end of the transaction."""

    _held: threading.Lock | None = None

    def begin_writing(self) -> None:
        """Raises sqlite3.OperationalError when others keep the lock for BUSY_TIMEOUT_S."""
        # Without the turn too: SQLite then says what it says of every lock that it does not get.
        turn = _turn
        self._held = turn if turn.acquire(timeout=BUSY_TIMEOUT_S) else None
        try:
            self.execute("BEGIN IMMEDIATE")
        except BaseException:
            self._pass_turn()
            raise

    def commit(self) -> None:
        try:
            super().commit()
        finally:
            if not self.in_transaction:
                self._pass_turn()

    def rollback(self) -> None:
        try:
            super().rollback()
        finally:
            self._pass_turn()

    def close(self) -> None:
        super().close()
        self._pass_turn()

    def _pass_turn(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            held.release()


def forget_turns() -> None:
    """In a child process: whoever had the turn is not here."""
    global _turn
    _turn = threading.Lock()


def check_version() -> None:
    """Raises RuntimeError where SQLite is too old."""
    if sqlite3.sqlite_version_info < MINIMUM:
        found = sqlite3.sqlite_version
        raise RuntimeError(f"SQLite {found} is too old: 3.38 or newer is needed, or PostgreSQL.")


def prepare(connection: sqlite3.Connection, _record: object) -> None:
    """Set a new connection up."""
    connection.isolation_level = None  # we say BEGIN ourselves
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {1000 * BUSY_TIMEOUT_S:.0f}")
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = NORMAL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()
