"""SQLite connections: their PRAGMAs, and the write lock, which the threads of a process take in turns.

SQLite makes a waiting writer sleep in steps of 1 to 100 ms, in which others may overtake it for long. So
only one thread per process asks SQLite for the lock, and the next one is woken as soon as it is free.
Between processes SQLite's own waiting remains.
"""

from __future__ import annotations

import sqlite3
import threading
import time

MIN_VERSION = (3, 38, 0)  # UPDATE ... FROM, RETURNING and the ->> operator
BUSY_TIMEOUT_S = 15.0

_write_lock = threading.Lock()


class SQLiteConnection(sqlite3.Connection):
    """Connection that holds the process's write lock from `begin_immediate` to the end of the transaction."""

    _held_lock: threading.Lock | None = None
    _wait_s: float | None = None

    def begin_immediate(self, wait_s: float | None = None) -> None:
        """Begin a writing transaction, after waiting for `wait_s` in all if it is given.

        Raises:
            sqlite3.OperationalError: others have held the lock for so long, or for BUSY_TIMEOUT_S.
        """
        until = None if wait_s is None else time.monotonic() + wait_s
        # Go on without the process's lock too, so that SQLite reports its usual error.
        write_lock = _write_lock
        timeout_s = BUSY_TIMEOUT_S if wait_s is None else min(wait_s, BUSY_TIMEOUT_S)
        self._held_lock = write_lock if write_lock.acquire(timeout=timeout_s) else None
        try:
            self._set_busy_timeout(None if until is None else max(0.0, until - time.monotonic()))
            self.execute("BEGIN IMMEDIATE")
        except BaseException:
            self._release_write_lock()
            raise

    def begin_reading(self, wait_s: float | None = None) -> None:
        """Begin a transaction that waits if it writes after all, and then for `wait_s` if given."""
        self._set_busy_timeout(wait_s)
        self.execute("BEGIN")

    def _set_busy_timeout(self, wait_s: float | None) -> None:
        """Set how long SQLite waits for others; None: the default. Every transaction sets its own."""
        if wait_s != self._wait_s:
            seconds = BUSY_TIMEOUT_S if wait_s is None else min(wait_s, BUSY_TIMEOUT_S)
            self.execute(f"PRAGMA busy_timeout = {1000 * seconds:.0f}")
            self._wait_s = wait_s

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
    """Replace the lock in a forked child: the thread that held it does not exist there."""
    global _write_lock
    _write_lock = threading.Lock()


def check_version() -> None:
    """Raise RuntimeError if SQLite is too old."""
    if sqlite3.sqlite_version_info < MIN_VERSION:
        found = sqlite3.sqlite_version
        raise RuntimeError(f"SQLite {found} is too old: 3.38 or newer is needed, or PostgreSQL.")


def configure_connection(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # `engines` sends BEGIN itself
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {1000 * BUSY_TIMEOUT_S:.0f}")
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = NORMAL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()
