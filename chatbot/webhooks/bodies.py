"""Bodies as Meta posted them: stored by the endpoint, then listed and marked by the two pipelines."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from flask import current_app

from chatbot.core import clock
from chatbot.core.db import autocommit, db, db_now, read_only, sanitize_text
from chatbot.core.db.bulk_sql import id_list
from chatbot.core.metrics import count
from chatbot.core.tasks import enqueue
from chatbot.webhooks.models import WebhookBody, WebhookQueue, WebhookUpdate, WorkState

MAX_BATCH_BODIES = 1000
# Of the batch that a worker splits, which takes a tenth of a second: after it the worker is believed dead.
LEASE_S = 2.0
MAX_BATCH_BYTES = 1_000_000  # of one batch, except for a single body, which may have 3 MB

# A search is enough: `"messages":` is a key, while `"field":"messages"` is not followed by a colon.
_CONTACT_EVENT = re.compile(rb'"(?:messages|user_preferences|user_id_update)"\s*:')
_INSERT_BODY = sa.insert(WebhookBody)
# Minimum interval between two enqueues of a process. Statuses arrive by the thousand and may wait for the
# worker's own poll within a second, since an enqueue costs as much as the INSERT.
ENQUEUE_INTERVAL_S = {WebhookQueue.MESSAGES: 0.0, WebhookQueue.STATUSES: 0.1}
_ENQUEUED_AT = "prosa_webhooks_enqueued_at"


def store_body(raw: bytes) -> None:
    """Store a body unparsed with one INSERT, and enqueue its task with at most one command to Redis."""
    queue = WebhookQueue.MESSAGES if _CONTACT_EVENT.search(raw) else WebhookQueue.STATUSES
    with autocommit(db.engine) as connection:
        connection.execute(
            _INSERT_BODY,
            {
                "received_at": clock.now(),
                "queue": queue,
                "raw": raw,
                "state": WorkState.NEW,
            },
        )
    enqueued_at: dict[WebhookQueue, float] = current_app.extensions.setdefault(_ENQUEUED_AT, {})
    if time.monotonic() - enqueued_at.get(queue, 0.0) >= ENQUEUE_INTERVAL_S[queue]:
        enqueued_at[queue] = time.monotonic()
        enqueue(f"webhooks.{queue}")


def list_new_bodies(queue: WebhookQueue) -> Sequence[Any]:
    """Return the oldest new bodies of a queue: at least one, and at most MAX_BATCH_BYTES of more."""
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


def claim_body(body_id: int) -> int | None:
    """Lease a batch by its first body, and return the attempts at it including this one.

    Return None if another worker has split the body or holds it. Committed before the batch is tried: a
    worker that is killed leaves no other trace.
    """
    is_free = sa.or_(WebhookBody.claimed_until.is_(None), WebhookBody.claimed_until < db_now())
    statement = (
        sa.update(WebhookBody)
        .where(WebhookBody.id == body_id, WebhookBody.state == WorkState.NEW, is_free)
        .values(attempts=WebhookBody.attempts + 1, claimed_until=db_now(LEASE_S))
        .returning(WebhookBody.attempts)
    )
    with autocommit(db.engine) as connection:
        return connection.scalar(statement)


def release_body(body_id: int, *, counts: bool) -> None:
    """End the lease of a body that could not be split; `counts` says whether it was an attempt."""
    attempts = WebhookBody.attempts if counts else WebhookBody.attempts - 1
    statement = sa.update(WebhookBody).where(WebhookBody.id == body_id)
    with autocommit(db.engine) as connection:
        connection.execute(statement.values(attempts=attempts, claimed_until=None))


def mark_split(connection: sa.Connection, ids: Sequence[int]) -> set[int]:
    """Mark bodies as split, and return the ids of those that were still new."""
    taken = connection.scalars(
        sa.update(WebhookBody)
        .where(WebhookBody.id.in_(id_list(connection, ids)), WebhookBody.state == WorkState.NEW)
        .values(state=WorkState.DONE)
        .returning(WebhookBody.id)
    )
    return set(taken)


def quarantine_body(connection: sa.Connection, body_id: int, reason: str) -> None:
    """Set a body aside. The webhooks page shows it with the reason and can replay it."""
    count("webhooks", outcome="parked")
    connection.execute(
        sa.update(WebhookBody)
        .where(WebhookBody.id == body_id)
        .values(state=WorkState.QUARANTINED, reason=sanitize_text(reason, 300))
    )


def replay_body(connection: sa.Connection, body_id: int) -> bool:
    """Have a body split and applied again; False if there is none.

    Safe to repeat, since an update that was applied already has no effect.
    """
    connection.execute(
        sa.delete(WebhookUpdate).where(
            WebhookUpdate.body_id == body_id, WebhookUpdate.state == WorkState.QUARANTINED
        )
    )
    return bool(
        connection.execute(
            sa.update(WebhookBody)
            .where(WebhookBody.id == body_id)
            .values(
                state=WorkState.NEW,
                reason=None,
                replays=WebhookBody.replays + 1,
                attempts=0,
                claimed_until=None,
            )
        ).rowcount
    )


def enqueue_drains() -> None:
    """Enqueue both tasks after a replay, since a body may hold updates for either queue."""
    enqueue("webhooks.messages")
    enqueue("webhooks.statuses")
