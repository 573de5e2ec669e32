"""Event log of a number, its account and its templates, shown on the channel's page."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from chatbot.channels.models import ChannelEvent, Severity
from chatbot.core import clock
from chatbot.core.db import sanitize_text, upsert


@dataclass(frozen=True, slots=True, kw_only=True)
class NewChannelEvent:
    """Event to be recorded; see `ChannelEvent` for the fields."""

    field: str
    event: str
    severity: Severity = Severity.INFO
    subject: str = ""
    detail: str = ""


def record_channel_event(
    connection: sa.Connection,
    channel_id: int,
    new_event: NewChannelEvent,
    happened_at: datetime | None = None,
    fingerprint: str | None = None,
) -> bool:
    """Record an event once; True if it is new and no later one of its field and subject is known.

    Without a fingerprint each call records an event of its own.
    """
    happened_at = happened_at or clock.now()
    inserted = connection.execute(
        upsert(connection, ChannelEvent)
        .values(
            channel_id=channel_id,
            field=new_event.field,
            subject=sanitize_text(new_event.subject, 600) or "",
            event=sanitize_text(new_event.event, 60) or "",
            severity=new_event.severity,
            detail=sanitize_text(new_event.detail, 500) or "",
            fingerprint=fingerprint or secrets.token_hex(16),
            happened_at=happened_at,
            recorded_at=clock.now(),
        )
        .on_conflict_do_nothing()
    ).rowcount
    return bool(inserted) and not _has_later_event(connection, channel_id, new_event, happened_at)


def _has_later_event(
    connection: sa.Connection, channel_id: int, new_event: NewChannelEvent, happened_at: datetime
) -> bool:
    later = sa.exists().where(
        ChannelEvent.channel_id == channel_id,
        ChannelEvent.field == new_event.field,
        ChannelEvent.subject == (sanitize_text(new_event.subject, 600) or ""),
        ChannelEvent.happened_at > happened_at,
    )
    return bool(connection.scalar(sa.select(later)))
