"""Bodies on their way to the splitter: which are next, how often they were tried, which are hopeless."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from chatbot.core.db import autocommit, db, read_only, sanitize_text
from chatbot.core.db.bulk_sql import id_list
from chatbot.core.metrics import count
from chatbot.webhooks.models import WebhookBody, WebhookQueue, WorkState

MAX_BATCH_BODIES = 1000
MAX_BATCH_BYTES = 1_000_000  # of one batch, but for a single body, which may have 3 MB


def list_new_bodies(queue: WebhookQueue) -> Sequence[Any]:
    """The oldest new bodies of a queue, as many as fit into memory at once; one always does."""
    size = sa.func.length(WebhookBody.raw)
    oldest = (
        sa.select(
            WebhookBody.id,
            WebhookBody.raw,
            WebhookBody.received_at,
            WebhookBody.replays,
            (sa.func.sum(size).over(order_by=WebhookBody.id) - size).label("before"),
            size.label("size"),
        )
        .where(WebhookBody.queue == queue, WebhookBody.state == WorkState.NEW)
        .order_by(WebhookBody.id)
        .limit(MAX_BATCH_BODIES)
        .subquery()
    )
    fits = sa.or_(oldest.c.before + oldest.c.size <= MAX_BATCH_BYTES, oldest.c.before == 0)
    columns = oldest.c.id, oldest.c.raw, oldest.c.received_at, oldest.c.replays
    with read_only(), db.engine.connect() as connection:
        return connection.execute(sa.select(*columns).where(fits).order_by(oldest.c.id)).all()


def record_attempt(body_id: int, number: int = 1) -> int:
    """Written before a batch is tried, to its first body; returns how often that has begun one by now.
    Whoever ends its worker leaves this trace, and no other."""
    statement = (
        sa.update(WebhookBody)
        .where(WebhookBody.id == body_id)
        .values(attempts=WebhookBody.attempts + number)
        .returning(WebhookBody.attempts)
    )
    with autocommit(db.engine) as connection:
        return connection.scalar(statement) or 1


def mark_split(connection: sa.Connection, ids: Sequence[int]) -> set[int]:
    """Those that nobody has split meanwhile."""
    taken = connection.scalars(
        sa.update(WebhookBody)
        .where(WebhookBody.id.in_(id_list(connection, ids)), WebhookBody.state == WorkState.NEW)
        .values(state=WorkState.DONE)
        .returning(WebhookBody.id)
    )
    return set(taken)


def quarantine_body(connection: sa.Connection, body_id: int, reason: str) -> None:
    """Set aside, to be shown and replayed."""
    count("webhooks", outcome="parked")
    connection.execute(
        sa.update(WebhookBody)
        .where(WebhookBody.id == body_id)
        .values(state=WorkState.QUARANTINED, reason=sanitize_text(reason, 300))
    )
