"""Queues of updates: claimed with a lease, retried a few times, then quarantined."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from chatbot.core.claims import isolate_suspect
from chatbot.core.db import advisory_lock, db, db_now, read_only, sanitize_text, skip_locked
from chatbot.core.db.bulk_sql import id_list
from chatbot.core.metrics import count
from chatbot.webhooks.events import Event, decode_event
from chatbot.webhooks.models import WebhookBody, WebhookQueue, WebhookUpdate, WorkState

log = logging.getLogger(__name__)

LEASE_S = 20.0
MAX_ATTEMPTS = 4
SHARED_ATTEMPTS = 1  # attempts as part of a batch; after them an update is tried alone


@dataclass(frozen=True, slots=True)
class ClaimedUpdate:
    """Leased update. `has_more_queued`: another update of the same contact waits behind it."""

    id: int
    contact_key: str
    happened_at: datetime
    attempts: int
    event: Event
    has_more_queued: bool = False


def has_work(queue: WebhookQueue) -> bool:
    """Return whether a queue has new bodies or updates. Reads only, so that polling takes no lock."""
    bodies = sa.exists().where(WebhookBody.queue == queue, WebhookBody.state == WorkState.NEW)
    updates = sa.exists().where(WebhookUpdate.queue == queue, WebhookUpdate.state == WorkState.NEW)
    with read_only(), db.engine.connect() as connection:
        return bool(connection.scalar(sa.select(sa.or_(bodies, updates))))


def claim_updates(queue: WebhookQueue, limit: int) -> list[ClaimedUpdate]:
    """Lease updates in the order of (Meta's timestamp, arrival).

    A contact with an update that another worker holds is skipped, so that the messages of one person are
    handled one after the other by any number of workers.
    """
    free = sa.or_(WebhookUpdate.claimed_until.is_(None), WebhookUpdate.claimed_until < db_now())
    query = (
        sa.select(WebhookUpdate.id, WebhookUpdate.attempts)
        .where(WebhookUpdate.queue == queue, WebhookUpdate.state == WorkState.NEW, free)
        .order_by(WebhookUpdate.happened_at, WebhookUpdate.id)
    )
    if queue == WebhookQueue.MESSAGES:
        query = query.where(~_is_contact_leased())
    # Read first: with nothing to claim, a worker must not make others wait for SQLite's one write lock.
    with read_only(), db.engine.connect() as connection:
        if connection.execute(query.limit(1)).first() is None:
            return []
    query = query.limit(limit)
    with db.engine.begin() as connection:
        advisory_lock(connection, f"webhooks.claim:{queue}")
        found = connection.execute(skip_locked(query, connection)).all()
        ids = isolate_suspect(found, SHARED_ATTEMPTS)
        if not ids:
            return []
        rows = connection.execute(
            sa.update(WebhookUpdate)
            .where(WebhookUpdate.id.in_(id_list(connection, ids)))
            .values(claimed_until=db_now(LEASE_S), attempts=WebhookUpdate.attempts + 1)
            .returning(
                WebhookUpdate.id,
                WebhookUpdate.contact_key,
                WebhookUpdate.happened_at,
                WebhookUpdate.attempts,
                WebhookUpdate.payload,
            )
        ).all()
        rows = sorted(rows, key=lambda row: (row.happened_at, row.id))
        followed = _find_followed(connection, rows) if queue == WebhookQueue.MESSAGES else set()
    claimed = [_decode_update(row, row.id in followed) for row in rows]
    return [update for update in claimed if update is not None]


def _find_followed(connection: sa.Connection, rows: Sequence[Any]) -> set[int]:
    """Return the ids after which more updates of their contact follow, claimed here or still waiting."""
    last = {row.contact_key: row.id for row in rows if row.contact_key}
    waiting = connection.scalars(
        sa.select(WebhookUpdate.contact_key)
        .where(
            WebhookUpdate.state == WorkState.NEW,
            WebhookUpdate.contact_key.in_(list(last)),
            WebhookUpdate.id.not_in([row.id for row in rows]),
        )
        .distinct()
    )
    behind = {last[key] for key in waiting}
    return behind | {row.id for row in rows if last.get(row.contact_key, row.id) != row.id}


def _decode_update(row: Any, has_more_queued: bool) -> ClaimedUpdate | None:
    """Decode an update, or quarantine it and return None if it can't be tried (again)."""
    reason = "its worker ended each time it was tried"
    if row.attempts <= MAX_ATTEMPTS:
        try:
            event = decode_event(row.payload)
            return ClaimedUpdate(
                row.id, row.contact_key, row.happened_at, row.attempts, event, has_more_queued
            )
        except Exception as error:  # stored by an older version, or a bug of ours
            reason = f"{type(error).__name__}: {error}"
    with db.engine.begin() as connection:
        quarantine_update(connection, row.id, reason)
    return None


def _is_contact_leased() -> sa.ColumnElement[bool]:
    other = aliased(WebhookUpdate)
    return sa.exists().where(
        other.contact_key == WebhookUpdate.contact_key,
        other.queue == WebhookQueue.MESSAGES,
        other.state == WorkState.NEW,
        other.id != WebhookUpdate.id,
        other.claimed_until > db_now(),
    )


def delete_applied(connection: sa.Connection, ids: Sequence[int]) -> None:
    """Delete applied updates. Their content stays in the body."""
    if ids:
        connection.execute(
            sa.delete(WebhookUpdate).where(WebhookUpdate.id.in_(id_list(connection, ids)))
        )


def quarantine_update(connection: sa.Connection, update_id: int, reason: str) -> None:
    """Set an update aside. The webhooks page shows it with the reason and can replay its body."""
    count("webhooks", outcome="parked")
    connection.execute(
        sa.update(WebhookUpdate)
        .where(WebhookUpdate.id == update_id)
        .values(state=WorkState.QUARANTINED, reason=sanitize_text(reason, 300), claimed_until=None)
    )


def record_failure(update: ClaimedUpdate, error: Exception) -> None:
    """Roll back an update that failed, and retry or quarantine it."""
    db.session.rollback()
    log.exception("update %d failed (attempt %d)", update.id, update.attempts)
    with db.engine.begin() as connection:
        _retry_or_quarantine(connection, update, f"{type(error).__name__}: {error}")


def _retry_or_quarantine(connection: sa.Connection, update: ClaimedUpdate, reason: str) -> None:
    """Retry after a growing pause. The attempt was counted by the claim."""
    if update.attempts >= MAX_ATTEMPTS:
        quarantine_update(connection, update.id, reason)
        return
    connection.execute(
        sa.update(WebhookUpdate)
        .where(WebhookUpdate.id == update.id)
        .values(claimed_until=db_now(0.2 * 2**update.attempts), reason=sanitize_text(reason, 300))
    )


def release_untried(connection: sa.Connection, updates: Sequence[ClaimedUpdate]) -> None:
    """Give updates back that were claimed but not tried, and don't count the attempt."""
    if updates:
        connection.execute(
            sa.update(WebhookUpdate)
            .where(WebhookUpdate.id.in_([update.id for update in updates]))
            .values(claimed_until=None, attempts=WebhookUpdate.attempts - 1)
        )
