"""Periodic sync of templates: their webhooks may be lost, or not subscribed to."""

from __future__ import annotations

import logging
from datetime import timedelta

import sqlalchemy as sa

from chatbot.channels.models import Channel
from chatbot.channels.whatsapp.client import GraphError
from chatbot.core import clock
from chatbot.core.db import db
from chatbot.message_templates.service import fetch_templates, store_templates

log = logging.getLogger(__name__)

SYNC_INTERVAL = timedelta(hours=3)
RETRY_DELAY = timedelta(minutes=5)  # after a failure


def sync_due() -> list[tuple[int]]:
    query = sa.select(Channel.id).where(_is_stale(SYNC_INTERVAL))
    return [(channel_id,) for channel_id in db.session.scalars(query)]


def _is_stale(age: timedelta) -> sa.ColumnElement[bool]:
    synced_at = Channel.templates_synced_at
    return sa.or_(synced_at.is_(None), synced_at < clock.now() - age)


def sync(channel_id: int) -> None:
    """Sync a channel once if several jobs run at the same time; retry a failure soon.

    The update of `templates_synced_at` is the claim.
    """
    claimed = (
        db.session.connection()
        .execute(
            sa.update(Channel)
            .where(Channel.id == channel_id, _is_stale(timedelta(seconds=10)))
            .values(templates_synced_at=clock.now())
        )
        .rowcount
    )
    channel = db.session.get_one(Channel, channel_id)
    db.session.commit()
    if not claimed:
        return
    db.session.refresh(channel)
    db.session.expunge(channel)
    db.session.rollback()  # no transaction is open during the calls
    try:
        payloads = fetch_templates(channel)
    except GraphError as error:
        log.warning("the templates could not be fetched: %s", error)
        _set_synced_at(channel_id, SYNC_INTERVAL - RETRY_DELAY)
        return
    store_templates(channel, payloads)
    db.session.commit()


def _set_synced_at(channel_id: int, age: timedelta) -> None:
    db.session.execute(
        sa.update(Channel)
        .where(Channel.id == channel_id)
        .values(templates_synced_at=clock.now() - age)
    )
    db.session.commit()
