"""What a campaign would cost, when it would be done, and whether Meta lets it reach all in a day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

import sqlalchemy as sa
from flask import current_app

from chatbot.campaigns.audience import audience_of
from chatbot.campaigns.day import people_of_the_day
from chatbot.campaigns.ledger import SUPPRESSED
from chatbot.campaigns.models import Campaign
from chatbot.campaigns.sending_hours import sending_hours
from chatbot.channels.models import Channel
from chatbot.contacts.models import Contact
from chatbot.core import clock
from chatbot.core.db import db
from chatbot.delivery.local_pace import CAMPAIGN_SHARE
from chatbot.extensions import settings_of
from chatbot.message_templates.models import MessageTemplate
from chatbot.message_templates.prices import cost_of
from chatbot.segments.service import company_today


@dataclass(frozen=True, slots=True)
class Forecast:
    """`cost` is in `currency`, for the `priced` people whose country has a price (None: no price is
    known); `ready_at` is None when the sending hours never come; `left_today` is how many more people
    Meta lets us reach within 24 hours (None: no limit is known)."""

    cost: Decimal | None
    currency: str
    priced: int
    ready_at: datetime | None
    left_today: int | None


def forecast(campaign: Campaign, planned: int) -> Forecast:
    settings = settings_of(current_app)
    channel = db.session.get_one(Channel, campaign.channel_id)
    template = db.session.get_one(MessageTemplate, campaign.template_id)
    price = cost_of(template.category, "BR", company_today())
    priced = _count_brazilian(campaign)
    work = timedelta(seconds=planned / (settings.messages_per_second * CAMPAIGN_SHARE))
    return Forecast(
        cost=price.amount * priced if price else None,
        currency=price.currency if price else "",
        priced=priced,
        ready_at=sending_hours(settings).finishes_at(clock.now(), work),
        left_today=_left_today(channel),
    )


def _count_brazilian(campaign: Campaign) -> int:
    """Those who would be written to and whose number is Brazilian: prices go by country."""
    reachable = [~condition for condition in SUPPRESSED.values()]
    query = sa.select(sa.func.count()).where(
        Contact.id.in_(audience_of(campaign.audience)),
        *reachable,
        sa.or_(Contact.phone.startswith("+55"), Contact.wa_id.startswith("55")),
    )
    return db.session.scalar(query) or 0


def _left_today(channel: Channel) -> int | None:
    if channel.daily_limit is None:
        return None
    reached = sum(1 for _ in people_of_the_day(db.engine, channel.business_account_id))
    return max(0, channel.daily_limit - reached)
