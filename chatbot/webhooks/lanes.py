"""The two lanes of updates: claimed with a lease, counted before they are tried, parked when hopeless."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.orm import aliased

from chatbot.core.db import db, db_now, reading, serialize, skip_locked, storable
from chatbot.core.metrics import count
from chatbot.core.poison import cut_at_suspect
from chatbot.core.queue import ring
from chatbot.core.rows import these
from chatbot.webhooks.events import Event, read_event
from chatbot.webhooks.models import Lane, WebhookBody, WebhookUpdate, WorkState

LEASE_S = 20.0
MAX_ATTEMPTS = 4
HARMLESS = 1  # attempts that a batch may share; after them an update is tried alone


@dataclass(frozen=True, slots=True)
class ClaimedUpdate:
    """`is_followed`: more of the same contact has arrived already, and comes next."""

    id: int
    contact_key: str
    happened_at: datetime
    attempts: int
    event: Event
    is_followed: bool = False


def has_work(lane: Lane) -> bool:
    """Whether anything of a lane is new; a reading look, so that an idle loop takes no lock."""
    bodies = sa.exists().where(WebhookBody.lane == lane, WebhookBody.state == WorkState.NEW)
    updates = sa.exists().where(WebhookUpdate.lane == lane, WebhookUpdate.state == WorkState.NEW)
    with reading(), db.engine.connect() as connection:
        return bool(connection.scalar(sa.select(sa.or_(bodies, updates))))


def claim_updates(lane: Lane, limit: int) -> list[ClaimedUpdate]:
    """Lease updates in the order of (Meta's timestamp, arrival).

    A contact whose earlier update another worker holds is passed over, so that one person's messages
    are handled one after the other whatever the number of workers.
    """
    free = sa.or_(WebhookUpdate.claimed_until.is_(None), WebhookUpdate.claimed_until < db_now())
    query = (
        sa.select(WebhookUpdate.id, WebhookUpdate.attempts)
        .where(WebhookUpdate.lane == lane, WebhookUpdate.state == WorkState.NEW, free)
        .order_by(WebhookUpdate.happened_at, WebhookUpdate.id)
    )
    if lane == Lane.MESSAGES:
        query = query.where(~_held_elsewhere())
    # A look first: who finds nothing to claim must not make the others wait for SQLite's one lock.
    with reading(), db.engine.connect() as connection:
        if connection.execute(query.limit(1)).first() is None:
            return []
    query = query.limit(limit)
    with db.engine.begin() as connection:
        serialize(connection, f"webhooks.claim:{lane}")
        found = connection.execute(skip_locked(query, connection)).all()
        ids = cut_at_suspect(found, HARMLESS)
        if not ids:
            return []
        rows = connection.execute(
            sa.update(WebhookUpdate)
            .where(WebhookUpdate.id.in_(these(connection, ids)))
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
        followed = _followed(connection, rows) if lane == Lane.MESSAGES else set()
    claimed = [_read(row, row.id in followed) for row in rows]
    return [update for update in claimed if update is not None]


def _followed(connection: sa.Connection, rows: Sequence[Any]) -> set[int]:
    """Those after which more of their contact waits, among the claimed or behind them."""
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


def _read(row: Any, is_followed: bool) -> ClaimedUpdate | None:
    """None for one that can't be tried (again): it is parked, and the lane goes on."""
    reason = "its worker ended each time it was tried"
    if row.attempts <= MAX_ATTEMPTS:
        try:
            event = read_event(row.payload)
            return ClaimedUpdate(
                row.id, row.contact_key, row.happened_at, row.attempts, event, is_followed
            )
        except (msgspec.MsgspecError, RecursionError) as error:
            reason = f"{type(error).__name__}: {error}"
    with db.engine.begin() as connection:
        park(connection, row.id, reason)
    return None


def _held_elsewhere() -> sa.ColumnElement[bool]:
    other = aliased(WebhookUpdate)
    return sa.exists().where(
        other.contact_key == WebhookUpdate.contact_key,
        other.lane == Lane.MESSAGES,
        other.state == WorkState.NEW,
        other.id != WebhookUpdate.id,
        other.claimed_until > db_now(),
    )


def delete_done(connection: sa.Connection, ids: Sequence[int]) -> None:
    """Applied updates go; the body keeps what they said."""
    if ids:
        connection.execute(
            sa.delete(WebhookUpdate).where(WebhookUpdate.id.in_(these(connection, ids)))
        )


def park(connection: sa.Connection, update_id: int, reason: str) -> None:
    """Set aside, to be shown and replayed; what comes after it goes on."""
    count("webhooks", outcome="parked")
    connection.execute(
        sa.update(WebhookUpdate)
        .where(WebhookUpdate.id == update_id)
        .values(state=WorkState.PARKED, reason=storable(reason, 300), claimed_until=None)
    )


def release(connection: sa.Connection, update: ClaimedUpdate, reason: str) -> None:
    """After an error: tried again in a moment, parked when it has failed too often."""
    if update.attempts >= MAX_ATTEMPTS:
        park(connection, update.id, reason)
        return
    connection.execute(
        sa.update(WebhookUpdate)
        .where(WebhookUpdate.id == update.id)
        .values(claimed_until=db_now(0.2 * 2**update.attempts), reason=storable(reason, 300))
    )


def untouched(connection: sa.Connection, updates: Sequence[ClaimedUpdate]) -> None:
    """Claimed but not tried: free at once, and the attempt does not count."""
    if updates:
        connection.execute(
            sa.update(WebhookUpdate)
            .where(WebhookUpdate.id.in_([update.id for update in updates]))
            .values(claimed_until=None, attempts=WebhookUpdate.attempts - 1)
        )


def ring_lanes() -> None:
    """Both: a body may hold updates of either."""
    ring("webhooks.messages")
    ring("webhooks.statuses")


def replay(connection: sa.Connection, body_id: int) -> bool:
    """Split and apply a body once more: harmless, since everything in it is applied once."""
    connection.execute(
        sa.delete(WebhookUpdate).where(
            WebhookUpdate.body_id == body_id, WebhookUpdate.state == WorkState.PARKED
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
            )
        ).rowcount
    )
