"""What starting a campaign would do, and what would be refused, before anybody is written to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import sqlalchemy as sa

from chatbot.campaigns.audience import (
    audience_of,
    count_audience,
    count_suppressed,
)
from chatbot.campaigns.drafts import template_of
from chatbot.campaigns.forecast import Forecast, forecast
from chatbot.campaigns.ledger import SUPPRESSED
from chatbot.campaigns.models import Campaign
from chatbot.campaigns.parameters import MissingValue, fill
from chatbot.campaigns.service import check_campaign
from chatbot.contacts.models import Contact
from chatbot.core.db import db
from chatbot.core.errors import AppError
from chatbot.message_templates.models import MessageTemplate
from chatbot.message_templates.texts import render_text

LOOKED_AT = 500  # contacts, for the names of attributes


@dataclass(frozen=True, slots=True)
class Preflight:
    """`problem` is what would refuse the start; None when all is right."""

    audience: int = 0
    suppressed: Mapping[str, int] = field(default_factory=dict)
    sample: Contact | None = None
    sample_text: str = ""
    problem: AppError | None = None
    forecast: Forecast | None = None

    @property
    def planned(self) -> int:
        return self.audience - sum(self.suppressed.values())


def look_ahead(campaign: Campaign) -> Preflight:
    problem = _problem(campaign)
    try:
        audience_of(campaign.audience)
    except AppError as fault:  # none chosen yet, or a segment that is gone: nobody to count
        return Preflight(problem=problem or fault)
    connection = db.session.connection()
    sample = _sample(campaign)
    look = Preflight(
        audience=count_audience(connection, campaign.audience),
        suppressed=count_suppressed(connection, campaign.audience),
        sample=sample,
        sample_text=sample_text(template_of(campaign), campaign.parameters, sample),
        problem=problem,
    )
    return replace(look, forecast=forecast(campaign, look.planned))


def _problem(campaign: Campaign) -> AppError | None:
    try:
        check_campaign(campaign)
    except AppError as error:
        return error
    return None


def _sample(campaign: Campaign) -> Contact | None:
    reachable = [~condition for condition in SUPPRESSED.values()]
    query = sa.select(Contact).where(Contact.id.in_(audience_of(campaign.audience)), *reachable)
    return db.session.scalar(query.order_by(Contact.id).limit(1))


def sample_text(
    template: MessageTemplate, parameters: Mapping[str, str], contact: Contact | None
) -> str:
    """What this contact would read; blanks stay where there is no value."""
    values: dict[str, str] = {}
    for name, source in parameters.items():
        if contact is not None:
            try:
                values |= fill({name: source}, contact)
            except MissingValue:
                continue
    return render_text(template.components, values)


def list_attributes() -> list[str]:
    """The names of attributes that contacts carry, as the latest of them show."""
    rows = db.session.scalars(
        sa.select(Contact.attributes).order_by(Contact.id.desc()).limit(LOOKED_AT)
    )
    return sorted({name for attributes in rows for name in attributes})
