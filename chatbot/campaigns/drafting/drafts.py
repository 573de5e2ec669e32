"""Drafts: campaigns that are written step by step and send nothing yet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from chatbot.campaigns.audience import build_segment_audience
from chatbot.campaigns.consent import set_consent_basis
from chatbot.campaigns.models import Campaign, CampaignState, ConsentBasis, PreviewSend
from chatbot.campaigns.parameters import check_parameters
from chatbot.campaigns.service import check_description, get_campaign, raise_conflict
from chatbot.channels.models import Channel
from chatbot.core.db import db
from chatbot.core.errors import NotFound
from chatbot.message_templates.components import list_optional_parameters, list_parameters
from chatbot.message_templates.models import MessageTemplate
from chatbot.message_templates.service import check_fillable


def get_campaign_template(campaign: Campaign) -> MessageTemplate:
    return db.session.get_one(MessageTemplate, campaign.template_id)


def create_draft(
    channel: Channel, *, name: str, template_id: int, on_doubt: str, by: str
) -> Campaign:
    """Create a draft from the first step's input. Raises InvalidInput or NotFound."""
    campaign = Campaign(
        channel_id=channel.id, parameters={}, audience={}, created_by=by, state_changed_by=by
    )
    _apply_description(campaign, name, template_id, on_doubt)
    db.session.add(campaign)
    db.session.flush()
    return campaign


def lock_draft(campaign_id: int) -> Campaign:
    """Return the draft, locked for a change. Raises Conflict if the campaign is no longer a draft."""
    campaign = get_campaign(campaign_id, lock=True)
    if campaign.state != CampaignState.DRAFT:
        raise_conflict(campaign)
    return campaign


def update_description(campaign_id: int, *, name: str, template_id: int, on_doubt: str) -> Campaign:
    campaign = lock_draft(campaign_id)
    _apply_description(campaign, name, template_id, on_doubt)
    components = get_campaign_template(campaign).components
    wanted = {*list_parameters(components), *list_optional_parameters(components)}
    # Keep the parameters that the new template has too.
    campaign.parameters = {k: v for k, v in campaign.parameters.items() if k in wanted}
    return campaign


def _apply_description(campaign: Campaign, name: str, template_id: int, on_doubt: str) -> None:
    name = check_description(name, on_doubt)
    template = db.session.get(MessageTemplate, template_id)
    if template is None or template.channel_id != campaign.channel_id:
        raise NotFound("This template no longer exists.", field="template_id")
    check_fillable(template)
    campaign.name = name
    campaign.template_id = template.id
    campaign.on_doubt = on_doubt


def set_parameters(campaign_id: int, sources: Mapping[str, str]) -> Campaign:
    """Set the sources, e.g. `{"1": "field:name"}`. Raises InvalidInput or Conflict."""
    campaign = lock_draft(campaign_id)
    check_parameters(get_campaign_template(campaign).components, sources)
    campaign.parameters = dict(sources)
    return campaign


def set_audience(
    campaign_id: int,
    audience: Mapping[str, Any],
    consent_basis: str = ConsentBasis.OPT_IN,
    by: str = "",
) -> Campaign:
    campaign = lock_draft(campaign_id)
    set_consent_basis(campaign, consent_basis, by)
    is_segment = audience.get("kind") == "segment"
    campaign.audience = build_segment_audience(audience["id"]) if is_segment else dict(audience)
    return campaign


def delete_draft(campaign_id: int) -> None:
    """Delete a draft. Its test messages stay in their conversations."""
    draft = lock_draft(campaign_id)
    db.session.execute(sa.delete(PreviewSend).where(PreviewSend.campaign_id == draft.id))
    db.session.delete(draft)
