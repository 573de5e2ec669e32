"""Counts of webhook updates by day and kind, and of refused bodies by reason."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import date, timedelta
from functools import partial

import sqlalchemy as sa

from chatbot.core import clock
from chatbot.core.counters import BufferedCounts
from chatbot.core.db import upsert
from chatbot.core.db.bulk_sql import json_rows
from chatbot.webhooks.models import WebhookCount

log = logging.getLogger(__name__)

REFUSED_PREFIX = "refused:"  # of the kind under which a refused body is counted, before the reason


def add_counts(connection: sa.Connection, counts: Mapping[str, int]) -> None:
    """Add to today's counts, sorted by kind, so that two workers never deadlock."""
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
    """Return (kind, count of today, count of the last `days` days including today), most frequent first."""
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
    """Refusals of this process, written at most once a second.

    A flood of forged bodies must not cause a write for each.
    """

    FLUSH_INTERVAL_S = 1.0

    def __init__(self) -> None:
        self._counts: BufferedCounts[str, int] = BufferedCounts(int)

    def record(self, engine: sa.Engine, reason: str) -> None:
        self._counts.add(REFUSED_PREFIX + reason, 1)
        self._counts.flush_when_due(partial(self.flush, engine), self.FLUSH_INTERVAL_S)

    def flush(self, engine: sa.Engine) -> None:
        def write(counts: Mapping[str, int]) -> None:
            with engine.begin() as connection:
                add_counts(connection, counts)

        try:
            self._counts.flush(write)
        except sa.exc.SQLAlchemyError as error:
            log.warning("refusals not counted yet: %s", error)
