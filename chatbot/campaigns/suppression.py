"""Suppression: contacts that no campaign may write to, with the reason."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from chatbot.campaigns.consent import lacks_consent
from chatbot.campaigns.models import Campaign, CampaignState, Recipient
from chatbot.contacts.models import Contact
from chatbot.delivery.models import MessageState

NO_CONSENT = "no_consent"
# Counts, skips at the start and the condition of a claim all use these, so they cannot disagree.
SUPPRESSION_CONDITIONS: dict[str, sa.ColumnElement[bool]] = {
    "opted_out": Contact.opted_out_at.is_not(None),
    "merged": Contact.merged_into_id.is_not(None),
    "no_address": Contact.address.is_(None),
    "unreachable": Contact.unreachable_at.is_not(None),
}
SUPPRESSION_REASONS = (*SUPPRESSION_CONDITIONS, NO_CONSENT)


def not_suppressed() -> sa.ColumnElement[bool]:
    """Return the condition that campaigns may write to a contact."""
    return sa.and_(*(~condition for condition in SUPPRESSION_CONDITIONS.values()))


def list_suppression_conditions(campaign: Campaign) -> dict[str, sa.ColumnElement[bool]]:
    """Return the conditions under which a contact is skipped when the audience is frozen, by reason."""
    return SUPPRESSION_CONDITIONS | {NO_CONSENT: lacks_consent(campaign)}


def may_receive(campaign: Campaign) -> sa.ColumnElement[bool]:
    """Return the condition that a campaign may write to a contact, consent included."""
    return sa.and_(not_suppressed(), ~lacks_consent(campaign))


def suppression_reason(campaign: Campaign) -> sa.ColumnElement[str | None]:
    """Return the first reason that holds for a contact, as SQL; NULL if the campaign may write to it."""
    conditions = list_suppression_conditions(campaign)
    reasons = ((condition, sa.literal(name)) for name, condition in conditions.items())
    return sa.case(*reasons, else_=None)


def is_already_served() -> sa.ColumnElement[bool]:
    """Return the condition that a contact merged into the recipient's already got this campaign.

    Nested EXISTS instead of a join: with a join SQLite scans the whole campaign for each row.
    """
    other, merged = aliased(Recipient), aliased(Contact)
    served = sa.exists().where(
        other.campaign_id == Recipient.campaign_id,
        other.contact_id == merged.id,
        other.state.not_in((MessageState.QUEUED, MessageState.SKIPPED)),
    )
    return sa.exists().where(
        merged.merged_into_id == Recipient.contact_id, served.correlate(Recipient, merged)
    )


def skip_suppressed(connection: sa.Connection) -> int:
    """Skip queued recipients that will never be claimed, with the reason. Return how many."""
    reasons = {
        reason: Recipient.contact_id.in_(
            sa.select(Contact.id).where(SUPPRESSION_CONDITIONS[reason])
        )
        for reason in ("opted_out", "merged", "unreachable")
    } | {
        "served_already": is_already_served(),
        # Rows that were in flight when the campaign was cancelled, and turned out to be unsent.
        "cancelled": Recipient.campaign_id.in_(
            sa.select(Campaign.id).where(Campaign.state == CampaignState.CANCELLED)
        ),
    }
    skipped = 0
    for reason, condition in reasons.items():
        skipped += connection.execute(
            sa.update(Recipient)
            .where(Recipient.state == MessageState.QUEUED, condition)
            .values(state=MessageState.SKIPPED, skip_reason=reason)
        ).rowcount
    return skipped
