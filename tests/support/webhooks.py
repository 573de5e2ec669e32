"""Webhooks received and applied, without the HTTP door."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from chatbot.core.db import db
from chatbot.webhooks.door import store_body
from chatbot.webhooks.jobs import drain_messages, drain_statuses
from chatbot.webhooks.models import WebhookUpdate
from tests.support.making import (
    body_of,
)

ANNA, BIA = "5511987654321", "5521976543210"


def receive(*values: dict[str, Any], field: str = "messages") -> None:
    store_body(body_of(*values, field=field))


def drain(rounds: int = 3) -> None:
    for _ in range(rounds):
        drain_messages()
        drain_statuses()
        db.session.rollback()
        db.session.expunge_all()


def release_all() -> None:
    """As if all leases had ended."""
    db.session.execute(sa.update(WebhookUpdate).values(claimed_until=None))
    db.session.commit()


def all_of(model: type[Any]) -> Sequence[Any]:
    found = db.session.scalars(sa.select(model).order_by(*sa.inspect(model).primary_key)).all()
    db.session.expunge_all()
    db.session.rollback()
    return found
