"""Queries of bodies and updates for the webhooks page and the command line."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from chatbot.core.db import db
from chatbot.core.errors import NotFound
from chatbot.core.pagination import Page, build_page, decode_cursor, parse_row_id
from chatbot.webhooks.models import (
    WaitingStatus,
    WebhookBody,
    WebhookQueue,
    WebhookUpdate,
    WorkState,
)

PAGE_SIZE = 50
MAX_SHOWN_CHARACTERS = 20_000  # characters of a body on a page


@dataclass(frozen=True, slots=True)
class BodySummary:
    """Body in a list. `size` in bytes; `reason` why it, or an update of it, was quarantined."""

    id: int
    received_at: datetime
    queue: str
    state: str
    size: int
    replays: int
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyFilters:
    """Filters of a list of bodies; None means any. `text` is searched for in the raw body."""

    quarantined: bool = False
    queue: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    text: str | None = None


def list_bodies(
    filters: BodyFilters, after: str | None = None, limit: int = PAGE_SIZE
) -> Page[BodySummary]:
    """List bodies, newest first. Raises InvalidInput for a broken cursor."""
    reason = sa.func.coalesce(WebhookBody.reason, _select_quarantine_reason())
    query = (
        sa.select(
            WebhookBody.id,
            WebhookBody.received_at,
            WebhookBody.queue,
            sa.case((reason.is_not(None), WorkState.QUARANTINED.value), else_=WebhookBody.state),
            sa.func.length(WebhookBody.raw),
            WebhookBody.replays,
            reason,
        )
        .where(*_build_conditions(filters))
        .order_by(WebhookBody.id.desc())
        .limit(limit + 1)
    )
    last = decode_cursor(after, parse_row_id)
    if last is not None:
        query = query.where(WebhookBody.id < last[0])
    rows = [BodySummary(*row) for row in db.session.execute(query)]
    return build_page(rows, limit, lambda line: (line.id,))


def _select_quarantine_reason() -> Any:
    return (
        sa.select(sa.func.min(WebhookUpdate.reason))
        .where(
            WebhookUpdate.body_id == WebhookBody.id, WebhookUpdate.state == WorkState.QUARANTINED
        )
        .correlate(WebhookBody)
        .scalar_subquery()
    )


def _build_conditions(filters: BodyFilters) -> list[sa.ColumnElement[bool]]:
    found: list[sa.ColumnElement[bool]] = []
    if filters.quarantined:
        quarantined = sa.select(WebhookUpdate.body_id).where(
            WebhookUpdate.state == WorkState.QUARANTINED
        )
        found.append(
            sa.or_(WebhookBody.state == WorkState.QUARANTINED, WebhookBody.id.in_(quarantined))
        )
    if filters.queue:
        found.append(WebhookBody.queue == WebhookQueue(filters.queue))
    if filters.since:
        found.append(WebhookBody.received_at >= filters.since)
    if filters.until:
        found.append(WebhookBody.received_at < filters.until)
    if filters.text:
        found.append(_contains_bytes(filters.text.encode()))
    return found


def _contains_bytes(piece: bytes) -> sa.ColumnElement[bool]:
    """Match bodies whose raw bytes contain `piece`."""
    is_postgresql = db.engine.dialect.name == "postgresql"
    raw, sought = WebhookBody.raw, sa.literal(piece, sa.LargeBinary)
    if is_postgresql:
        return sa.func.position(sought.op("IN")(raw)) > 0
    return sa.func.instr(raw, sought) > 0


def count_pending() -> dict[str, int]:
    """Count what waits or is quarantined: bodies, updates, and statuses of unknown messages."""
    row = db.session.execute(
        sa.select(
            _count_rows(WebhookBody, WebhookBody.state == WorkState.NEW).label("bodies"),
            _count_rows(WebhookUpdate, WebhookUpdate.state == WorkState.NEW).label("updates"),
            _count_rows(WebhookBody, WebhookBody.state == WorkState.QUARANTINED).label(
                "quarantined_bodies"
            ),
            _count_rows(WebhookUpdate, WebhookUpdate.state == WorkState.QUARANTINED).label(
                "quarantined_updates"
            ),
            _count_rows(WaitingStatus).label("waiting_statuses"),
        )
    ).one()
    return dict(row._mapping)


def _count_rows(model: type, *conditions: sa.ColumnElement[bool]) -> sa.ScalarSelect[int]:
    return sa.select(sa.func.count()).select_from(model).where(*conditions).scalar_subquery()


def get_body(body_id: int) -> WebhookBody:
    """Return a body. Raises NotFound."""
    found = db.session.get(WebhookBody, body_id)
    if found is None:
        raise NotFound("There is no webhook body %(id)s.", id=body_id)
    return found


def list_updates(body_id: int) -> list[WebhookUpdate]:
    """List the updates of a body that wait or were quarantined; applied ones are deleted."""
    query = sa.select(WebhookUpdate).where(WebhookUpdate.body_id == body_id)
    return list(db.session.scalars(query.order_by(WebhookUpdate.id).limit(200)))
