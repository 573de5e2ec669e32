"""Automatic completion of running campaigns."""

from __future__ import annotations

import sqlalchemy as sa

from chatbot.campaigns.models import (
    CAMPAIGNS_CACHE_TAG,
    Campaign,
    CampaignState,
    OnDoubt,
    Recipient,
)
from chatbot.core.cache.invalidation import invalidate_with
from chatbot.core.db import db_now
from chatbot.delivery.models import MessageState

# How long after its doubt window a row that may be resent still waits for the proof that it was not sent.
PROOF_GRACE_S = 30.0


def finish_completed(connection: sa.Connection) -> int:
    """Finish running campaigns without queued, sending or recently doubtful rows. Return how many.

    Where doubtful messages are resent, their proof can only come after the doubt window, hence the grace.
    """
    grace_s = sa.case((Campaign.on_doubt == OnDoubt.RESEND, PROOF_GRACE_S), else_=0.0)
    open_row = sa.exists().where(
        Recipient.campaign_id == Campaign.id,
        sa.or_(
            Recipient.state.in_((MessageState.QUEUED, MessageState.SENDING)),
            sa.and_(
                Recipient.state == MessageState.UNKNOWN, Recipient.doubt_until > db_now(-grace_s)
            ),
        ),
    )
    invalidate_with(connection, CAMPAIGNS_CACHE_TAG)
    return connection.execute(
        sa.update(Campaign)
        .where(Campaign.state == CampaignState.RUNNING, ~open_row)
        .values(state=CampaignState.FINISHED, finished_at=db_now())
    ).rowcount
