"""SQLite as one machine's database: how a connection is set, and its one write lock, taken in turns.

Who finds the lock taken sleeps inside of SQLite, in steps of 1 to 100 ms, and may be passed by others
for long. Of a process's threads only one asks for it at a time, and the next is woken as soon as it is
free; between processes it stays as SQLite does it.
"""

from __future__ import annotations

import sqlite3
import threading

MIN_VERSION = (3, 38, 0)  # UPDATE ... FROM, RETURNING and the ->> operator
BUSY_TIMEOUT_S = 15.0

_write_lock = threading.Lock()


class SQLiteConnection(sqlite3.Connection):
    """Keeps its process's turn from `begin_writing` to the end of the transaction."""

    _held_lock: threading.Lock | None = None

    def begin_immediate(self) -> None:
        """Raises sqlite3.OperationalError when others keep the lock for BUSY_TIMEOUT_S."""
        # Without the turn too: SQLite then says what it says of every lock that it does not get.
        write_lock = _write_lock
        self._held_lock = write_lock if write_lock.acquire(timeout=BUSY_TIMEOUT_S) else None
        try:
            self.execute("BEGIN IMMEDIATE")
        except BaseException:
            self._release_write_lock()
            raise

    def commit(self) -> None:
        try:
            super().commit()
        finally:
            if not self.in_transaction:
                self._release_write_lock()

    def rollback(self) -> None:
        try:
            super().rollback()
        finally:
            self._release_write_lock()

    def close(self) -> None:
        super().close()
        self._release_write_lock()

    def _release_write_lock(self) -> None:
        held, self._held_lock = self._held_lock, None
        if held is not None:
            held.release()


def reset_write_lock() -> None:
    """In a child process: whoever had the turn is not here."""
    global _write_lock
    _write_lock = threading.Lock()


def check_version() -> None:
    """Raises RuntimeError where SQLite is too old."""
    if sqlite3.sqlite_version_info < MIN_VERSION:
        found = sqlite3.sqlite_version
        raise RuntimeError(f"SQLite {found} is too old: 3.38 or newer is needed, or PostgreSQL.")


def configure_connection(connection: sqlite3.Connection, _record: object) -> None:
    """Set a new connection up."""
    connection.isolation_level = None  # we say BEGIN ourselves
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {1000 * BUSY_TIMEOUT_S:.0f}")
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = NORMAL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()
