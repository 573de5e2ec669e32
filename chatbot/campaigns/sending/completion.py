"""How a running campaign ends without anybody's hand."""

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

# How long after the end of its doubt window a row that may be resent still waits for the proof.
PROOF_GRACE_S = 30.0


def finish_completed(connection: sa.Connection) -> int:
    """Running campaigns with nothing queued, sending, or in doubt within its window are finished.

    Where doubt is to be resent, the window's end is the moment from which proof can come at all.
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
