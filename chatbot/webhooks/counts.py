"""How many updates of each kind came, by day; and what was turned away at the door."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Mapping
from datetime import date, timedelta

import sqlalchemy as sa

from chatbot.core import clock
from chatbot.core.db import upsert
from chatbot.core.db.bulk_sql import json_rows
from chatbot.webhooks.models import WebhookCount

log = logging.getLogger(__name__)

REFUSED_PREFIX = "refused:"  # before what was wrong with a body that was not let in


def add_counts(connection: sa.Connection, counts: Mapping[str, int]) -> None:
    """One statement. In the order of kinds, so that two workers never wait for each other in a ring."""
    if not counts:
        return
    v = json_rows(connection, sorted(counts.items()), kind=sa.String(80), number=sa.BigInteger())
    today = sa.literal(clock.now().date(), sa.Date)
    source = sa.select(today, v.c.kind, v.c.number).where(sa.true()).order_by(v.c.kind)
    statement = upsert(connection, WebhookCount).from_select(["day", "kind", "number"], source)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["day", "kind"],
            set_={"number": WebhookCount.number + statement.excluded.number},
        )
    )


def list_counts(connection: sa.Connection, days: int) -> list[tuple[str, int, int]]:
    """(kind, today, the last `days` days with today), the commonest first."""
    today = clock.now().date()
    since: date = today - timedelta(days=days - 1)
    of_today = sa.case((WebhookCount.day == today, WebhookCount.number), else_=0)
    total = sa.func.sum(WebhookCount.number)
    rows = connection.execute(
        sa.select(WebhookCount.kind, sa.func.sum(of_today), total)
        .where(WebhookCount.day >= since)
        .group_by(WebhookCount.kind)
        .order_by(total.desc(), WebhookCount.kind)
    )
    return [(kind, int(now), int(whole)) for kind, now, whole in rows]


class RefusalCounter:
    """Refusals of this process, written at most once a second: whoever floods the door with forged
    bodies must not make us write for each."""

    FLUSH_INTERVAL_S = 1.0

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: Counter[str] = Counter()
        self._written_at = float("-inf")
        self._timer: threading.Timer | None = None

    def record(self, engine: sa.Engine, reason: str) -> None:
        with self._lock:
            self._waiting[REFUSED_PREFIX + reason] += 1
            wait_s = self._written_at + self.FLUSH_INTERVAL_S - time.monotonic()
            if wait_s > 0:
                self._start_timer(engine, wait_s)
                return
        self.flush(engine)

    def _start_timer(self, engine: sa.Engine, wait_s: float) -> None:
        if self._timer is None:
            self._timer = threading.Timer(wait_s, self.flush, [engine])
            self._timer.daemon = True
            self._timer.start()

    def flush(self, engine: sa.Engine) -> None:
        """Kept for the next time while the database is away."""
        with self._lock:
            counts, self._waiting = self._waiting, Counter()
            self._written_at, self._timer = time.monotonic(), None
        try:
            with engine.begin() as connection:
                add_counts(connection, counts)
        except sa.exc.SQLAlchemyError as error:
            log.warning("refusals not counted yet: %s", error)
            with self._lock:
                self._waiting += counts
