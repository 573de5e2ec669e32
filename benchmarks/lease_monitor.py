"""Monitor of how long the rows of a killed worker stay claimed."""

from __future__ import annotations

import threading
import time
from typing import Self

import sqlalchemy as sa

from tests.support.ports import wait_for

POLL_S = 0.1
HELD_QUERY = sa.text(
    "SELECT id, claim_token, extract(epoch FROM clock_timestamp() - claimed_until)"
    " FROM recipients WHERE campaign_id = :id AND state = 'sending'"
)
LOST_QUERY = sa.text("SELECT count(*) FROM recipients WHERE campaign_id = :id AND times_lost > 0")

Claim = tuple[int, str]


class LeaseMonitor:
    """Thread that polls the claims.

    `longest_s` is the time from a kill until none of the rows claimed at that moment is claimed any
    more. Live workers release theirs within seconds, so the last one belongs to the killed worker.
    """

    def __init__(self, database_url: str, campaign_id: int) -> None:
        url = database_url.replace("postgresql://", "postgresql+psycopg://")
        self._engine = sa.create_engine(url)
        self._id = {"id": campaign_id}
        self._waiting: list[tuple[float, set[Claim]]] = []
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._poll, daemon=True)
        self.kills = 0
        self.longest_s = 0.0
        self.overdue_s = 0.0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()

    def record_kill(self) -> None:
        """Record that a worker was killed just now."""
        killed_at = time.monotonic()
        with self._lock:
            self.kills += 1
            self._waiting.append((killed_at, self._list_claims()))

    def wait_until_reclaimed(self, seconds: float) -> None:
        wait_for(lambda: not self._waiting, seconds)

    def count_lost_rows(self) -> int:
        with self._engine.connect() as connection:
            return int(connection.scalar(LOST_QUERY, self._id) or 0)

    def _poll(self) -> None:
        while not self._ending.wait(POLL_S):
            with self._lock:
                held, now = self._list_claims(), time.monotonic()
                for killed_at, claims in list(self._waiting):
                    if not claims & held:
                        self._waiting.remove((killed_at, claims))
                        self.longest_s = max(self.longest_s, now - killed_at)

    def _list_claims(self) -> set[Claim]:
        with self._engine.connect() as connection:
            rows = connection.execute(HELD_QUERY, self._id).all()
        self.overdue_s = max([self.overdue_s, *(float(row[2]) for row in rows)])
        return {(row[0], row[1]) for row in rows}
