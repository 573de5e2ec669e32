"""Contacts reached in the last 24 hours, which Meta's daily limit (messaging limit) counts."""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa

from chatbot.campaigns.models import Campaign, Recipient
from chatbot.channels.models import Channel
from chatbot.core.db import UtcDateTime, db_now, read_only
from chatbot.delivery.models import IN_FLIGHT

DAY_S = 86_400.0


def iter_recently_reached(engine: sa.Engine, portfolio: str) -> Iterator[tuple[int, float]]:
    """Yield each contact that campaigns of the portfolio reached or are reaching, with the Unix time.

    Contacts whose service window was open count too, though Meta does not count them: the state of the
    window at that time is not stored.
    """
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
