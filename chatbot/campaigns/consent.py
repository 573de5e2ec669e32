"""Consent to marketing: which contacts a campaign with a MARKETING template may reach."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from chatbot.campaigns.models import Campaign, ConsentBasis
from chatbot.campaigns.sending.side_effects import MARKETING
from chatbot.contacts.models import ConsentEvent, Contact
from chatbot.conversations.models import Conversation
from chatbot.core.errors import InvalidInput
from chatbot.message_templates.models import MessageTemplate


def set_consent_basis(campaign: Campaign, basis: str, by: str) -> None:
    """Choose whom a marketing campaign may reach; going beyond opt-ins is recorded with the user's name."""
    if basis not in set(ConsentBasis):
        raise InvalidInput(
            "Choose whether only contacts with an opt-in on file receive it, or also those who "
            "have written to you.",
            field="consent_basis",
        )
    if basis == ConsentBasis.CUSTOMERS and not by.strip():
        raise InvalidInput(
            "Enter the name of the person who decides to write to customers without an opt-in.",
            field="consent_basis",
        )
    if basis != campaign.consent_basis:
        campaign.consent_basis = basis
        campaign.consent_basis_by = by.strip() if basis == ConsentBasis.CUSTOMERS else None


def is_marketing(campaign: Campaign) -> sa.ColumnElement[bool]:
    """Return the condition that a campaign's template is marketing now: Meta may change its category."""
    return sa.exists().where(
        MessageTemplate.id == campaign.template_id, MessageTemplate.category == MARKETING
    )


def lacks_consent(campaign: Campaign) -> sa.ColumnElement[bool]:
    """Return the condition that a contact has not agreed to marketing, which this campaign is."""
    allowed = _has_event_or_chat(Contact.id, campaign.consent_basis)
    merged = aliased(Contact)
    # Consent and conversations of a contact stay with it after a merge.
    allowed_before_merge = sa.exists().where(
        merged.merged_into_id == Contact.id, _has_event_or_chat(merged.id, campaign.consent_basis)
    )
    return sa.and_(
        is_marketing(campaign), ~sa.or_(allowed, allowed_before_merge.correlate(Contact))
    )


def _has_event_or_chat(contact_id: Any, basis: str) -> sa.ColumnElement[bool]:
    """Return the condition for consent. Refusals need none here: `opted_out` comes first."""
    opted_in = sa.exists().where(
        ConsentEvent.contact_id == contact_id, ConsentEvent.kind == "opt_in"
    )
    if basis != ConsentBasis.CUSTOMERS:
        return opted_in
    has_written = sa.exists().where(
        Conversation.contact_id == contact_id, Conversation.last_inbound_at.is_not(None)
    )
    return sa.or_(opted_in, has_written)
