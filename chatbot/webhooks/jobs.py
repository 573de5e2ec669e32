"""The webhook batches of the inbound and statuses loops, and the daily cleaning."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from flask import current_app

from chatbot.accounts.models import FailedSignIn
from chatbot.core import clock
from chatbot.core.db import db
from chatbot.core.metrics import forget_dead
from chatbot.core.queue import ring
from chatbot.core.session import StoredSession
from chatbot.extensions import settings_of
from chatbot.webhooks.lanes import ClaimedUpdate, claim_updates, has_work, untouched
from chatbot.webhooks.models import Lane, WaitingStatus, WebhookBody, WebhookUpdate, WorkState
from chatbot.webhooks.pipeline import (
    apply_personal,
    apply_receipts_of,
    apply_statuses,
    apply_waiting,
    drop_recorded,
    give_back,
    note_drained,
    tell,
)
from chatbot.webhooks.splitter import split_bodies

log = logging.getLogger(__name__)

MESSAGES = 50
STATUSES = 1000
KEEP_WAITING = timedelta(days=7)
CLEAN_BATCH = 5000


def drain_messages() -> float | None:
    """Split and record what customers wrote; see `core.queue.Bell` for the return value."""
    if not has_work(Lane.MESSAGES):
        return None
    bodies = split_bodies(Lane.MESSAGES)
    if bodies.has_others:
        ring("webhooks.statuses")
    updates = claim_updates(Lane.MESSAGES, MESSAGES)
    failed: set[str] = set()
    held_back = []
    for update in drop_recorded(updates):
        if update.contact_key in failed:
            held_back.append(update)  # the order within a contact is kept
            continue
        try:
            apply_personal(update)
        except Exception as error:  # whatever it is, it must neither stop the lane nor be lost
            give_back(update, error)
            failed.add(update.contact_key)
    if held_back:
        with db.engine.begin() as connection:
            untouched(connection, held_back)
    return 0 if bodies.number or updates else None


def drain_statuses() -> float | None:
    """Split and apply statuses and the other fields."""
    began_at = time.monotonic()
    if not has_work(Lane.STATUSES):
        apply_waiting()
        # A body of the other lane may still hold statuses.
        if not has_work(Lane.MESSAGES):
            note_drained(time.monotonic() - began_at)
        return None
    bodies = split_bodies(Lane.STATUSES, apply_receipts_of)
    tell(bodies.applied)
    if bodies.has_others:
        ring("webhooks.messages")
    updates = claim_updates(Lane.STATUSES, STATUSES)
    try:
        if updates:
            apply_statuses(updates)
    except Exception:  # find the one that spoils the batch, and apply the rest
        log.exception("a batch of %d statuses failed; going one by one", len(updates))
        _apply_one_by_one(updates)
    return 0 if bodies.number or updates else None


def _apply_one_by_one(updates: Sequence[ClaimedUpdate]) -> None:
    for update in updates:
        try:
            apply_statuses([update])
        except Exception as error:  # this is the one: counted, tried again, then parked
            give_back(update, error)


def clean_due() -> list[tuple[()]]:
    return [()]


def clean() -> None:
    """Delete what has outlived its use, in batches that lock nothing for long."""
    now = clock.now()
    keep = timedelta(days=settings_of(current_app).webhook_keep_days)
    # What nobody could read goes too: it may be about people.
    old_body = sa.and_(WebhookBody.received_at < now - keep, WebhookBody.state != WorkState.NEW)
    _delete(WebhookUpdate, WebhookUpdate.body_id.in_(sa.select(WebhookBody.id).where(old_body)))
    _delete(WebhookBody, old_body)
    _delete(WaitingStatus, WaitingStatus.received_at < now - KEEP_WAITING)
    _delete(StoredSession, StoredSession.expires_at < now)
    with db.engine.begin() as connection:
        forget_dead(connection)
    _delete(FailedSignIn, FailedSignIn.failed_at < now - timedelta(days=1))


def _delete(model: type, condition: sa.ColumnElement[bool]) -> None:
    key: sa.Column[Any] = sa.inspect(model).primary_key[0]
    while True:
        batch = sa.select(key).where(condition).limit(CLEAN_BATCH)
        with db.engine.begin() as connection:
            deleted = connection.execute(sa.delete(model).where(key.in_(batch))).rowcount
        if deleted < CLEAN_BATCH:
            return
