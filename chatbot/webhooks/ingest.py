"""The door's one write: the raw body, in one statement, before anything is made of it."""

from __future__ import annotations

import re
import time

import sqlalchemy as sa
from flask import current_app

from chatbot.core import clock
from chatbot.core.db import autocommit, db
from chatbot.core.tasks import enqueue
from chatbot.webhooks.models import WebhookBody, WebhookQueue, WorkState

# A glance, not a parse: `"messages":` is a key, while `"field":"messages"` is not followed by a colon.
_CONTACT_EVENT = re.compile(rb'"(?:messages|user_preferences|user_id_update)"\s*:')

_INSERT_BODY = sa.insert(WebhookBody)
# How often this process rings for a queue. A customer waits for the bell; statuses, which come by the
# thousand, may wait for the worker's own look within a second, and a bell costs as much as the INSERT.
ENQUEUE_INTERVAL_S = {WebhookQueue.MESSAGES: 0.0, WebhookQueue.STATUSES: 0.1}
_ENQUEUED_AT = "prosa_webhooks_enqueued_at"


def store_body(raw: bytes) -> None:
    """Keep `raw` and ring. One INSERT in one round trip, at most one trip to Redis."""
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
