"""Checks before the start of a campaign: whom it would reach, at what cost, and what would be refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import sqlalchemy as sa

from chatbot.campaigns.audience import count_audience, count_suppressed, select_audience
from chatbot.campaigns.drafting.drafts import get_campaign_template
from chatbot.campaigns.drafting.forecast import Forecast, compute_forecast
from chatbot.campaigns.models import Campaign
from chatbot.campaigns.parameters import MissingValue, fill_parameters
from chatbot.campaigns.service import check_campaign
from chatbot.campaigns.suppression import NO_CONSENT, may_receive
from chatbot.contacts.models import Contact
from chatbot.core.db import db
from chatbot.core.errors import AppError
from chatbot.message_templates.components import TemplatePreview, render_preview, render_text
from chatbot.message_templates.models import MessageTemplate

ATTRIBUTE_SAMPLE_SIZE = 500  # contacts


@dataclass(frozen=True, slots=True)
class PreflightReport:
    """Result of the checks. `problem` is why the start would be refused; None if it would not."""

    audience: int = 0
    suppressed: Mapping[str, int] = field(default_factory=dict)
    sample: Contact | None = None
    shown: TemplatePreview | None = None
    problem: AppError | None = None
    forecast: Forecast | None = None

    @property
    def planned(self) -> int:
        return self.audience - sum(self.suppressed.values())

    @property
    def without_consent(self) -> int:
        return self.suppressed.get(NO_CONSENT, 0)


def run_preflight(campaign: Campaign) -> PreflightReport:
    problem = _find_problem(campaign)
    try:
        select_audience(campaign.audience)
    except AppError as error:  # no audience was chosen yet, or its segment was deleted
        return PreflightReport(problem=problem or error)
    connection = db.session.connection()
    sample = _find_sample_contact(campaign)
    report = PreflightReport(
        audience=count_audience(connection, campaign.audience),
        suppressed=count_suppressed(connection, campaign),
        sample=sample,
        shown=preview_sample(get_campaign_template(campaign), campaign.parameters, sample),
        problem=problem,
    )
    return replace(report, forecast=compute_forecast(campaign, report.planned))


def _find_problem(campaign: Campaign) -> AppError | None:
    try:
        check_campaign(campaign)
    except AppError as error:
        return error
    return None


def _find_sample_contact(campaign: Campaign) -> Contact | None:
    query = sa.select(Contact).where(
        Contact.id.in_(select_audience(campaign.audience)), may_receive(campaign)
    )
    return db.session.scalar(query.order_by(Contact.id).limit(1))


def render_sample(
    template: MessageTemplate, parameters: Mapping[str, str], contact: Contact | None
) -> str:
    """Return the text this contact would get. Parameters without a value stay as placeholders."""
    return render_text(template.components, _fill_known(parameters, contact))


def preview_sample(
    template: MessageTemplate, parameters: Mapping[str, str], contact: Contact | None
) -> TemplatePreview:
    """Return the whole message as this contact would see it, with its header and buttons."""
    return render_preview(template.components, _fill_known(parameters, contact))


def _fill_known(parameters: Mapping[str, str], contact: Contact | None) -> dict[str, str]:
    values: dict[str, str] = {}
    for name, source in parameters.items():
        if contact is not None:
            try:
                values |= fill_parameters({name: source}, contact)
            except MissingValue:
                continue
    return values


def list_attribute_names() -> list[str]:
    """Return the attribute names in use, as found in the newest contacts."""
    rows = db.session.scalars(
        sa.select(Contact.attributes).order_by(Contact.id.desc()).limit(ATTRIBUTE_SAMPLE_SIZE)
    )
    return sorted({name for attributes in rows for name in attributes})
