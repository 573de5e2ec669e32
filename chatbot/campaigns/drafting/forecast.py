"""What a campaign would cost, when it would be done, and whether Meta lets it reach all in a day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

import sqlalchemy as sa
from flask import current_app

from chatbot.campaigns.audience import select_audience
from chatbot.campaigns.models import Campaign
from chatbot.campaigns.sending.daily_limit import iter_recently_reached
from chatbot.campaigns.sending.send_table import SUPPRESSION_CONDITIONS
from chatbot.campaigns.sending.sending_hours import get_sending_hours
from chatbot.channels.models import Channel
from chatbot.contacts.models import Contact
from chatbot.core import clock
from chatbot.core.db import db
from chatbot.delivery.local_throttle import CAMPAIGN_SHARE
from chatbot.extensions import get_settings
from chatbot.message_templates.models import MessageTemplate
from chatbot.message_templates.prices import find_price
from chatbot.segments.service import get_company_today


@dataclass(frozen=True, slots=True)
class Forecast:
    """`cost` is in `currency`, for the `priced` people whose country has a price (None: no price is
    known); `finishes_at` is None when the sending hours never come; `remaining_today` is how many more people
    Meta lets us reach within 24 hours (None: no limit is known)."""

    cost: Decimal | None
    currency: str
    priced_contacts: int
    finishes_at: datetime | None
    remaining_today: int | None


def compute_forecast(campaign: Campaign, planned: int) -> Forecast:
    settings = get_settings(current_app)
    channel = db.session.get_one(Channel, campaign.channel_id)
    template = db.session.get_one(MessageTemplate, campaign.template_id)
    price = find_price(template.category, "BR", get_company_today())
    priced = _count_brazilian(campaign)
    duration = timedelta(seconds=planned / (settings.messages_per_second * CAMPAIGN_SHARE))
    return Forecast(
        cost=price.amount * priced if price else None,
        currency=price.currency if price else "",
        priced_contacts=priced,
        finishes_at=get_sending_hours(settings).finishes_at(clock.now(), duration),
        remaining_today=_get_remaining_today(channel),
    )


def _count_brazilian(campaign: Campaign) -> int:
    """Those who would be written to and whose number is Brazilian: prices go by country."""
    reachable = [~condition for condition in SUPPRESSION_CONDITIONS.values()]
    query = sa.select(sa.func.count()).where(
        Contact.id.in_(select_audience(campaign.audience)),
        *reachable,
        sa.or_(Contact.phone.startswith("+55"), Contact.wa_id.startswith("55")),
    )
    return db.session.scalar(query) or 0


def _get_remaining_today(channel: Channel) -> int | None:
    if channel.daily_limit is None:
        return None
    reached = sum(1 for _ in iter_recently_reached(db.engine, channel.business_account_id))
    return max(0, channel.daily_limit - reached)
