"""Webhooks stored and applied without HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from chatbot.core.db import db
from chatbot.delivery.installation import get_installation_id
from chatbot.delivery.outbound import CallbackId
from chatbot.webhooks.bodies import store_body
from chatbot.webhooks.models import WebhookBody, WebhookUpdate
from chatbot.webhooks.tasks import drain_messages, drain_statuses
from tests.support.factories import make_webhook_body

ANNA, BIA = "5511987654321", "5521976543210"


def store_webhook(*values: dict[str, Any], field: str = "messages") -> None:
    store_body(make_webhook_body(*values, field=field))


def own_callback(row_id: int, send_table: str = "r", attempt: int = 1) -> str:
    """Return the callback id with which this installation sends a row."""
    installation = get_installation_id(db.session.connection())
    db.session.commit()
    return str(CallbackId(send_table, row_id, attempt, installation))


def drain_queues(rounds: int = 3) -> None:
    for _ in range(rounds):
        drain_messages()
        drain_statuses()
        db.session.rollback()
        db.session.expunge_all()


def expire_update_leases() -> None:
    """End the leases of all updates and bodies."""
    for model in (WebhookUpdate, WebhookBody):
        db.session.execute(sa.update(model).values(claimed_until=None))
    db.session.commit()


def list_all(model: type[Any]) -> Sequence[Any]:
    found = db.session.scalars(sa.select(model).order_by(*sa.inspect(model).primary_key)).all()
    db.session.expunge_all()
    db.session.rollback()
    return found
