"""Whom campaigns have reached in the last 24 hours: what is left of the day's people is counted from it."""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa

from chatbot.campaigns.models import Campaign, Recipient
from chatbot.channels.models import Channel
from chatbot.core.db import UtcDateTime, db_now, read_only
from chatbot.delivery.models import IN_FLIGHT

DAY_S = 86_400.0


def iter_recently_reached(engine: sa.Engine, portfolio: str) -> Iterator[tuple[int, float]]:
    """The contacts that the portfolio's campaigns have reached, or are reaching, each once, and when
    (Unix seconds). Whether somebody's service window was open then is not known any more: they count."""
    reached_at = sa.func.coalesce(Recipient.accepted_at, db_now())
    query = (
        sa.select(Recipient.contact_id, sa.func.max(reached_at, type_=UtcDateTime()))
        .join(Campaign, Campaign.id == Recipient.campaign_id)
        .join(Channel, Channel.id == Campaign.channel_id)
        .where(
            Channel.business_account_id == portfolio,
            sa.or_(Recipient.accepted_at > db_now(-DAY_S), Recipient.state.in_(IN_FLIGHT)),
        )
        .group_by(Recipient.contact_id)
    )
    with read_only(), engine.connect() as connection:
        for contact_id, at in connection.execute(query):
            yield contact_id, at.timestamp()
