"""Resending: messages that failed for a temporary reason and, on request, messages in doubt."""

from __future__ import annotations

import sqlalchemy as sa

from chatbot.campaigns.models import Campaign, CampaignState, Recipient
from chatbot.campaigns.service import change_state, check_campaign, get_campaign, raise_conflict
from chatbot.channels.whatsapp.errors import POLICIES, ErrorPolicy
from chatbot.core.db import db, db_now
from chatbot.core.errors import Conflict
from chatbot.core.tasks import enqueue
from chatbot.delivery.models import MessageState

# Policies of errors that a later attempt may avoid; errors of the contact or the message are not among them.
_TRANSIENT_POLICIES = (ErrorPolicy.RETRY, ErrorPolicy.SLOW, ErrorPolicy.PAIR)
TRANSIENT_ERROR_CODES = [code for code, policy in POLICIES.items() if policy in _TRANSIENT_POLICIES]
_RESENDABLE_STATES = (CampaignState.RUNNING, CampaignState.PAUSED, CampaignState.FINISHED)

# Only messages that WhatsApp never accepted: for others, statuses of the old attempt may still arrive.
IS_RETRYABLE = sa.and_(
    Recipient.state == MessageState.FAILED,
    Recipient.error_code.in_(TRANSIENT_ERROR_CODES),
    Recipient.accepted_at.is_(None),
)


def retry_failed(campaign_id: int, by: str) -> int:
    """Queue recipients again whose failure was temporary. Return how many.

    Raises:
        Conflict: there are none, or the campaign's state does not allow sending.
    """
    return _requeue(campaign_id, IS_RETRYABLE, by)


def resend_unknown(campaign_id: int, by: str) -> int:
    """Queue recipients in doubt again. Return how many.

    Some of them may get the message twice, so this is only done on a user's request.

    Raises:
        Conflict: there are none, or the campaign's state does not allow sending.
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
        raise Conflict("There is nothing to send again here: someone may have been faster.")
    _restart_campaign(campaign, by)
    return queued.rowcount


def _restart_campaign(campaign: Campaign, by: str) -> None:
    """Set a finished campaign to running again. A paused one stays paused until a user resumes it."""
    if campaign.state == CampaignState.FINISHED:
        change_state(campaign, CampaignState.RUNNING, by)
        campaign.finished_at = None
    enqueue("campaigns.send", campaign.channel_id)
