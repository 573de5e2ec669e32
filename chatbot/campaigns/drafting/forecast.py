"""Forecast of a campaign: its cost, when it would finish, and what Meta's daily limit leaves."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

import sqlalchemy as sa
from flask import current_app

from chatbot.campaigns.audience import select_audience
from chatbot.campaigns.models import Campaign
from chatbot.campaigns.sending.daily_limit import iter_recently_reached
from chatbot.campaigns.sending.sending_hours import get_sending_hours
from chatbot.campaigns.suppression import may_receive
from chatbot.channels.models import Channel
from chatbot.contacts.models import Contact
from chatbot.core import clock
from chatbot.core.db import db
from chatbot.delivery.throttle import CAMPAIGN_SHARE
from chatbot.extensions import get_settings
from chatbot.message_templates.models import MessageTemplate
from chatbot.message_templates.prices import find_price
from chatbot.segments.service import get_company_today


@dataclass(frozen=True, slots=True)
class Forecast:
    """Forecast of one campaign.

    `cost` is in `currency`, for the `priced_contacts` whose country has a known price (None: no price is
    known). `finishes_at` is None if the sending hours never open. `remaining_today` is how many more
    contacts Meta allows within 24 hours (None: the limit is unknown).
    """

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
    """Count the contacts to be written to with a Brazilian number: Meta's prices depend on the country."""
    query = sa.select(sa.func.count()).where(
        Contact.id.in_(select_audience(campaign.audience)),
        may_receive(campaign),
        sa.or_(Contact.phone.startswith("+55"), Contact.wa_id.startswith("55")),
    )
    return db.session.scalar(query) or 0


def _get_remaining_today(channel: Channel) -> int | None:
    if channel.daily_limit is None:
        return None
    reached = sum(1 for _ in iter_recently_reached(db.engine, channel.business_account_id))
    return max(0, channel.daily_limit - reached)
