"""What happens to a number, its account and its templates, written down for the channel's page."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from chatbot.channels.models import ChannelEvent, Severity
from chatbot.core import clock
from chatbot.core.db import storable, upsert


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """One line of the channel's page; see `ChannelEvent` for the fields."""

    field: str
    event: str
    severity: Severity = Severity.INFO
    subject: str = ""
    detail: str = ""


def record_event(
    connection: sa.Connection,
    channel_id: int,
    note: Note,
    happened_at: datetime | None = None,
    fingerprint: str | None = None,
) -> bool:
    """Write it down once; True when it is news, and nothing later of its field and subject is known.

    Without a fingerprint each call is an event of its own.
    """
    happened_at = happened_at or clock.now()
    inserted = connection.execute(
        upsert(connection, ChannelEvent)
        .values(
            channel_id=channel_id,
            field=note.field,
            subject=storable(note.subject, 600) or "",
            event=storable(note.event, 60) or "",
            severity=note.severity,
            detail=storable(note.detail, 500) or "",
            fingerprint=fingerprint or secrets.token_hex(16),
            happened_at=happened_at,
            recorded_at=clock.now(),
        )
        .on_conflict_do_nothing()
    ).rowcount
    return bool(inserted) and not _is_overtaken(connection, channel_id, note, happened_at)


def _is_overtaken(
    connection: sa.Connection, channel_id: int, note: Note, happened_at: datetime
) -> bool:
    later = sa.exists().where(
        ChannelEvent.channel_id == channel_id,
        ChannelEvent.field == note.field,
        ChannelEvent.subject == (storable(note.subject, 600) or ""),
        ChannelEvent.happened_at > happened_at,
    )
    return bool(connection.scalar(sa.select(later)))
