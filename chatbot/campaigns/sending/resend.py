"""Sending again: what failed for a passing reason, and, at a person's word, what is in doubt."""

from __future__ import annotations

import sqlalchemy as sa

from chatbot.campaigns.models import Campaign, CampaignState, Recipient
from chatbot.campaigns.service import change_state, check_campaign, get_campaign, raise_conflict
from chatbot.channels.whatsapp.errors import POLICIES, ErrorPolicy
from chatbot.core.db import db, db_now
from chatbot.core.errors import Conflict
from chatbot.core.tasks import enqueue
from chatbot.delivery.states import MessageState

# Failures that another try, later, may well not meet again. What is wrong with the person or with the
# message is not among them.
_TRANSIENT_REACTIONS = (ErrorPolicy.RETRY, ErrorPolicy.SLOW, ErrorPolicy.PAIR)
TRANSIENT_ERROR_CODES = [
    code for code, policy in POLICIES.items() if policy in _TRANSIENT_REACTIONS
]
_RESENDABLE_STATES = (CampaignState.RUNNING, CampaignState.PAUSED, CampaignState.FINISHED)

# Only what WhatsApp never took: of what it took and failed later, old statuses may still come.
IS_RETRYABLE = sa.and_(
    Recipient.state == MessageState.FAILED,
    Recipient.error_code.in_(TRANSIENT_ERROR_CODES),
    Recipient.accepted_at.is_(None),
)


def retry_failed(campaign_id: int, by: str) -> int:
    """Queue again the recipients whose failure was a passing one; returns how many.

    Raises:
        Conflict: there are none, or the campaign is in no state to send.
    """
    return _requeue(campaign_id, IS_RETRYABLE, by)


def resend_unknown(campaign_id: int, by: str) -> int:
    """Queue again who is in doubt: who had got it gets it twice, which is why only a person may ask.

    Raises:
        Conflict: there are none, or the campaign is in no state to send.
    """
    return _requeue(campaign_id, Recipient.state == MessageState.UNKNOWN, by)


def _requeue(campaign_id: int, condition: sa.ColumnElement[bool], by: str) -> int:
    campaign = get_campaign(campaign_id, lock=True)
    if campaign.state not in _RESENDABLE_STATES:
        raise_conflict(campaign)
    check_campaign(campaign)
    queued = db.session.connection().execute(
        sa.update(Recipient)
        .where(Recipient.campaign_id == campaign.id, condition)
        .values(
            state=MessageState.QUEUED,
            due_at=db_now(),
            claim_token=None,
            doubt_until=None,
            error_code=None,
            error_detail=None,
            failed_at=None,
        )
    )
    if not queued.rowcount:
        raise Conflict("There is nothing here to send again: somebody may have been faster.")
    _restart_campaign(campaign, by)
    return queued.rowcount


def _restart_campaign(campaign: Campaign, by: str) -> None:
    """A finished one runs again; a paused one stays paused until somebody lets it go on."""
    if campaign.state == CampaignState.FINISHED:
        change_state(campaign, CampaignState.RUNNING, by)
        campaign.finished_at = None
    enqueue("campaigns.send", campaign.channel_id)
