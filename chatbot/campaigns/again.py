"""Sending again: what failed for a passing reason, and, at a person's word, what is in doubt."""

from __future__ import annotations

import sqlalchemy as sa

from chatbot.campaigns.models import Campaign, CampaignState, Recipient
from chatbot.campaigns.service import check_campaign, get_campaign, move, raise_conflict
from chatbot.channels.whatsapp.errors import REACTIONS, Reaction
from chatbot.core.db import db, db_now
from chatbot.core.errors import Conflict
from chatbot.core.queue import ring
from chatbot.delivery.states import State

# Failures that another try, later, may well not meet again. What is wrong with the person or with the
# message is not among them.
_PASSING = (Reaction.RETRY, Reaction.SLOW, Reaction.PAIR)
PASSING_CODES = [code for code, reaction in REACTIONS.items() if reaction in _PASSING]
_MAY_SEND_AGAIN = (CampaignState.RUNNING, CampaignState.PAUSED, CampaignState.FINISHED)

# Only what WhatsApp never took: of what it took and failed later, old statuses may still come.
RETRYABLE = sa.and_(
    Recipient.state == State.FAILED,
    Recipient.error_code.in_(PASSING_CODES),
    Recipient.accepted_at.is_(None),
)


def retry_failed(campaign_id: int, by: str) -> int:
    """Queue again the recipients whose failure was a passing one; returns how many.

    Raises:
        Conflict: there are none, or the campaign is in no state to send.
    """
    return _send_again(campaign_id, RETRYABLE, by)


def resend_unknown(campaign_id: int, by: str) -> int:
    """Queue again who is in doubt: who had got it gets it twice, which is why only a person may ask.

    Raises:
        Conflict: there are none, or the campaign is in no state to send.
    """
    return _send_again(campaign_id, Recipient.state == State.UNKNOWN, by)


def _send_again(campaign_id: int, whom: sa.ColumnElement[bool], by: str) -> int:
    campaign = get_campaign(campaign_id, lock=True)
    if campaign.state not in _MAY_SEND_AGAIN:
        raise_conflict(campaign)
    check_campaign(campaign)
    queued = db.session.connection().execute(
        sa.update(Recipient)
        .where(Recipient.campaign_id == campaign.id, whom)
        .values(
            state=State.QUEUED,
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
    _wake(campaign, by)
    return queued.rowcount


def _wake(campaign: Campaign, by: str) -> None:
    """A finished one runs again; a paused one stays paused until somebody lets it go on."""
    if campaign.state == CampaignState.FINISHED:
        move(campaign, CampaignState.RUNNING, by)
        campaign.finished_at = None
    ring("campaigns.send", campaign.channel_id)
