"""Bodies and updates as lists show them; for the page and the command line."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from chatbot.core.db import db
from chatbot.core.errors import NotFound
from chatbot.core.pagination import Page, cut, read_cursor, row_id
from chatbot.webhooks.models import Lane, WaitingStatus, WebhookBody, WebhookUpdate, WorkState

PAGE = 50
SHOWN = 20_000  # characters of a body on a page


@dataclass(frozen=True, slots=True)
class BodyLine:
    """One body in a list. `size` is bytes; `reason` says why it, or an update of it, is parked."""

    id: int
    received_at: datetime
    lane: str
    state: str
    size: int
    replays: int
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Which bodies; what is None does not matter. `text` is looked for in the body as it came."""

    parked: bool = False
    lane: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    text: str | None = None


def list_bodies(filters: Filters, after: str | None = None, limit: int = PAGE) -> Page[BodyLine]:
    """The newest first. Raises InvalidInput for a broken cursor."""
    reason = sa.func.coalesce(WebhookBody.reason, _parked_reason())
    query = (
        sa.select(
            WebhookBody.id,
            WebhookBody.received_at,
            WebhookBody.lane,
            sa.case((reason.is_not(None), WorkState.PARKED.value), else_=WebhookBody.state),
            sa.func.length(WebhookBody.raw),
            WebhookBody.replays,
            reason,
        )
        .where(*_conditions(filters))
        .order_by(WebhookBody.id.desc())
        .limit(limit + 1)
    )
    last = read_cursor(after, row_id)
    if last is not None:
        query = query.where(WebhookBody.id < last[0])
    rows = [BodyLine(*row) for row in db.session.execute(query)]
    return cut(rows, limit, lambda line: (line.id,))


def _parked_reason() -> Any:
    return (
        sa.select(sa.func.min(WebhookUpdate.reason))
        .where(WebhookUpdate.body_id == WebhookBody.id, WebhookUpdate.state == WorkState.PARKED)
        .correlate(WebhookBody)
        .scalar_subquery()
    )


def _conditions(filters: Filters) -> list[sa.ColumnElement[bool]]:
    found: list[sa.ColumnElement[bool]] = []
    if filters.parked:
        parked = sa.select(WebhookUpdate.body_id).where(WebhookUpdate.state == WorkState.PARKED)
        found.append(sa.or_(WebhookBody.state == WorkState.PARKED, WebhookBody.id.in_(parked)))
    if filters.lane:
        found.append(WebhookBody.lane == Lane(filters.lane))
    if filters.since:
        found.append(WebhookBody.received_at >= filters.since)
    if filters.until:
        found.append(WebhookBody.received_at < filters.until)
    if filters.text:
        found.append(_holds(filters.text.encode()))
    return found


def _holds(piece: bytes) -> sa.ColumnElement[bool]:
    """Whether the raw bytes hold a piece."""
    is_postgresql = db.engine.dialect.name == "postgresql"
    raw, sought = WebhookBody.raw, sa.literal(piece, sa.LargeBinary)
    if is_postgresql:
        return sa.func.position(sought.op("IN")(raw)) > 0
    return sa.func.instr(raw, sought) > 0


def count_open() -> dict[str, int]:
    """What waits and what is set aside: bodies, updates, parked, statuses without a message."""
    row = db.session.execute(
        sa.select(
            _number(WebhookBody, WebhookBody.state == WorkState.NEW).label("bodies"),
            _number(WebhookUpdate, WebhookUpdate.state == WorkState.NEW).label("updates"),
            _number(WebhookBody, WebhookBody.state == WorkState.PARKED).label("parked_bodies"),
            _number(WebhookUpdate, WebhookUpdate.state == WorkState.PARKED).label("parked_updates"),
            _number(WaitingStatus).label("waiting_statuses"),
        )
    ).one()
    return dict(row._mapping)


def _number(model: type, *conditions: sa.ColumnElement[bool]) -> sa.ScalarSelect[int]:
    return sa.select(sa.func.count()).select_from(model).where(*conditions).scalar_subquery()


def get_body(body_id: int) -> WebhookBody:
    """Raises NotFound."""
    found = db.session.get(WebhookBody, body_id)
    if found is None:
        raise NotFound("There is no webhook body %(id)s.", id=body_id)
    return found


def list_updates(body_id: int) -> list[WebhookUpdate]:
    """Those of a body that wait or were parked; applied ones are gone."""
    query = sa.select(WebhookUpdate).where(WebhookUpdate.body_id == body_id)
    return list(db.session.scalars(query.order_by(WebhookUpdate.id).limit(200)))
