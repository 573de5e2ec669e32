"""The door's one write: the raw body, in one statement, before anything is made of it."""

from __future__ import annotations

import re
import time

import sqlalchemy as sa
from flask import current_app

from chatbot.core import clock
from chatbot.core.db import db, one_statement
from chatbot.core.queue import ring
from chatbot.webhooks.models import Lane, WebhookBody, WorkState

# A glance, not a parse: `"messages":` is a key, while `"field":"messages"` is not followed by a colon.
_IS_PERSONAL = re.compile(rb'"(?:messages|user_preferences|user_id_update)"\s*:')

_INSERT = sa.insert(WebhookBody)
# How often this process rings for a lane. A customer waits for the bell; statuses, which come by the
# thousand, may wait for the worker's own look within a second, and a bell costs as much as the INSERT.
RING_EVERY_S = {Lane.MESSAGES: 0.0, Lane.STATUSES: 0.1}
_RUNG_AT = "prosa_webhooks_rung_at"


def store_body(raw: bytes) -> None:
    """Keep `raw` and ring. One INSERT in one round trip, at most one trip to Redis."""
    lane = Lane.MESSAGES if _IS_PERSONAL.search(raw) else Lane.STATUSES
    with one_statement(db.engine) as connection:
        connection.execute(
            _INSERT,
            {
                "received_at": clock.now(),
                "lane": lane,
                "raw": raw,
                "state": WorkState.NEW,
            },
        )
    rung_at: dict[Lane, float] = current_app.extensions.setdefault(_RUNG_AT, {})
    if time.monotonic() - rung_at.get(lane, 0.0) >= RING_EVERY_S[lane]:
        rung_at[lane] = time.monotonic()
        ring(f"webhooks.{lane}")
