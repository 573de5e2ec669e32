"""Queries of our numbers and their events for the channel's page."""

from __future__ import annotations

import sqlalchemy as sa

from chatbot.channels.models import Channel, ChannelEvent
from chatbot.core.db import db
from chatbot.core.errors import NotFound
from chatbot.core.pagination import Page, build_page, decode_cursor, parse_row_id

PAGE_SIZE = 30


def list_channels() -> list[Channel]:
    return list(db.session.scalars(sa.select(Channel).order_by(Channel.id)))


def get_channel(channel_id: int) -> Channel:
    """Return a channel. Raises NotFound."""
    found = db.session.get(Channel, channel_id)
    if found is None:
        raise NotFound("This number does not exist.")
    return found


def list_events(after: str | None = None) -> Page[ChannelEvent]:
    """List the events of all our numbers, newest first. Raises InvalidInput for a broken cursor."""
    query = sa.select(ChannelEvent).order_by(ChannelEvent.id.desc()).limit(PAGE_SIZE + 1)
    last = decode_cursor(after, parse_row_id)
    if last is not None:
        query = query.where(ChannelEvent.id < last[0])
    return build_page(db.session.scalars(query).all(), PAGE_SIZE, lambda event: (event.id,))
