"""Tasks that drain the two queues of webhooks, and the daily deletion of old ones."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from datetime import timedelta

import sqlalchemy as sa
from flask import current_app

from chatbot.core import clock
from chatbot.core.db import db
from chatbot.core.db.deletion import delete_in_batches
from chatbot.core.tasks import enqueue
from chatbot.extensions import get_settings
from chatbot.webhooks.message_pipeline import (
    apply_contact_update,
    drop_recorded,
    split_message_bodies,
)
from chatbot.webhooks.models import (
    WaitingStatus,
    WebhookBody,
    WebhookQueue,
    WebhookUpdate,
    WorkState,
)
from chatbot.webhooks.queues import (
    ClaimedUpdate,
    claim_updates,
    has_work,
    record_failure,
    release_untried,
)
from chatbot.webhooks.status_pipeline import (
    apply_statuses,
    apply_waiting_statuses,
    publish_status_events,
    record_drained,
    split_status_bodies,
)

log = logging.getLogger(__name__)

MESSAGE_BATCH_SIZE = 50
STATUS_BATCH_SIZE = 1000
WAITING_STATUS_RETENTION = timedelta(days=7)


def drain_messages() -> float | None:
    """Split bodies and apply a batch of messages; see `core.tasks.Task` for the return value."""
    if not has_work(WebhookQueue.MESSAGES):
        return None
    bodies = split_message_bodies()
    if WebhookQueue.STATUSES in bodies.queues:
        enqueue("webhooks.statuses")
    updates = claim_updates(WebhookQueue.MESSAGES, MESSAGE_BATCH_SIZE)
    failed: set[str] = set()
    held_back = []
    for update in drop_recorded(updates):
        if update.contact_key in failed:
            held_back.append(update)  # the order within a contact is kept
            continue
        try:
            apply_contact_update(update)
        except Exception as error:  # no error may stop the queue or lose the update
            record_failure(update, error)
            failed.add(update.contact_key)
    if held_back:
        with db.engine.begin() as connection:
            release_untried(connection, held_back)
    return 0 if bodies.body_count or updates else None


def drain_statuses() -> float | None:
    """Split bodies and apply statuses and account events; returns as `drain_messages` does."""
    began_at = time.monotonic()
    if not has_work(WebhookQueue.STATUSES):
        apply_waiting_statuses()
        # A body of the other queue may still hold statuses.
        if not has_work(WebhookQueue.MESSAGES):
            record_drained(time.monotonic() - began_at)
        return None
    bodies = split_status_bodies()
    publish_status_events(bodies.applied)
    if WebhookQueue.MESSAGES in bodies.queues:
        enqueue("webhooks.messages")
    updates = claim_updates(WebhookQueue.STATUSES, STATUS_BATCH_SIZE)
    try:
        if updates:
            apply_statuses(updates)
    except Exception:  # find the one that breaks the batch, and apply the rest
        log.exception("a batch of %d statuses failed; going one by one", len(updates))
        _apply_one_by_one(updates)
    return 0 if bodies.body_count or updates else None


def _apply_one_by_one(updates: Sequence[ClaimedUpdate]) -> None:
    for update in updates:
        try:
            apply_statuses([update])
        except Exception as error:
            record_failure(update, error)


def list_due_deletions() -> list[tuple[()]]:
    return [()]


def delete_expired() -> None:
    """Delete bodies and waiting statuses that are older than their retention."""
    now = clock.now()
    keep = timedelta(days=get_settings(current_app).webhook_retention_days)
    # Bodies that nobody could read are deleted too: they may hold personal data.
    old_body = sa.and_(WebhookBody.received_at < now - keep, WebhookBody.state != WorkState.NEW)
    delete_in_batches(
        WebhookUpdate, WebhookUpdate.body_id.in_(sa.select(WebhookBody.id).where(old_body))
    )
    delete_in_batches(WebhookBody, old_body)
    delete_in_batches(WaitingStatus, WaitingStatus.received_at < now - WAITING_STATUS_RETENTION)
