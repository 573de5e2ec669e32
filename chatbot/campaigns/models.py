"""Campaigns, which send one message template to many contacts, and their recipients."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from chatbot.core import clock
from chatbot.core.db import Base, BigId, EnumString, Json, UtcDateTime, index_where
from chatbot.delivery.models import SendTableMixin

CAMPAIGNS_CACHE_TAG = "campaigns"  # of every value that shows campaigns and their states


class CampaignState(StrEnum):
    DRAFT = "draft"
    SCHEDULED = "scheduled"
    RUNNING = "running"
    PAUSED = "paused"
    FINISHED = "finished"
    CANCELLED = "cancelled"


# Every other transition is a conflict.
TRANSITIONS = {
    CampaignState.DRAFT: {
        CampaignState.SCHEDULED,
        CampaignState.RUNNING,
        CampaignState.CANCELLED,
    },
    CampaignState.SCHEDULED: {
        CampaignState.DRAFT,
        CampaignState.RUNNING,
        CampaignState.CANCELLED,
    },
    CampaignState.RUNNING: {
        CampaignState.PAUSED,
        CampaignState.CANCELLED,
        CampaignState.FINISHED,
    },
    CampaignState.PAUSED: {CampaignState.RUNNING, CampaignState.CANCELLED},
    # Only by resending failed messages, or ones in doubt.
    CampaignState.FINISHED: {CampaignState.RUNNING},
    CampaignState.CANCELLED: set(),
}


class OnDoubt(StrEnum):
    """Action for a message that may or may not have been sent; RESEND waits for proof that it was not."""

    SHOW = "show"
    RESEND = "resend"


class ConsentBasis(StrEnum):
    """Contacts that a marketing campaign may reach. Whoever refused is never among them."""

    OPT_IN = "opt_in"  # an opt-in is on file
    CUSTOMERS = "customers"  # these, and who has written to us


class Campaign(Base):
    __tablename__ = "campaigns"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(200))
    channel_id: Mapped[int] = mapped_column(sa.ForeignKey("channels.id"))
    template_id: Mapped[int] = mapped_column(sa.ForeignKey("message_templates.id"))
    # {"1": "field:name", "2": "text:10/12"}
    parameters: Mapped[dict[str, str]] = mapped_column(Json, default=dict)
    # {"kind": "all"}, {"kind": "tag", "name": "..."} or {"kind": "segment", "id": 1, "name": "..."}
    audience: Mapped[dict[str, Any]] = mapped_column(Json)
    on_doubt: Mapped[str] = mapped_column(sa.String(10), default=OnDoubt.SHOW)
    # Counts for templates of the category MARKETING only.
    consent_basis: Mapped[str] = mapped_column(sa.String(10), default=ConsentBasis.OPT_IN)
    # The user who chose to reach customers without an opt-in.
    consent_basis_by: Mapped[str | None] = mapped_column(sa.String(254))
    state: Mapped[str] = mapped_column(EnumString(10), default=CampaignState.DRAFT, index=True)
    # Why a campaign paused by itself; empty when a person paused it.
    paused_reason: Mapped[str | None] = mapped_column(sa.String(300))
    created_by: Mapped[str] = mapped_column(sa.String(254), default="")
    started_by: Mapped[str | None] = mapped_column(sa.String(254))
    # The user who changed the state last; named in conflict messages.
    state_changed_by: Mapped[str | None] = mapped_column(sa.String(254))
    state_changed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=clock.now)
    scheduled_for: Mapped[datetime | None] = mapped_column(UtcDateTime)
    started_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    def cache_tags(self) -> Iterable[str]:
        return (CAMPAIGNS_CACHE_TAG,)


class PreviewSend(Base):
    """A test of a campaign that a user sent to their own phone: who sent it, and which message it is.

    It is an ordinary message of a conversation, not a recipient, so the campaign's figures do not change.
    """

    __tablename__ = "campaign_preview_sends"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    campaign_id: Mapped[int] = mapped_column(sa.ForeignKey("campaigns.id"), index=True)
    message_id: Mapped[int] = mapped_column(sa.ForeignKey("messages.id"), unique=True)
    # None: from the command line.
    user_id: Mapped[int | None] = mapped_column(sa.ForeignKey("users.id"), index=True)
    sent_by: Mapped[str] = mapped_column(sa.String(254), default="")
    sent_at: Mapped[datetime] = mapped_column(UtcDateTime, default=clock.now)


class Recipient(SendTableMixin, Base):
    """A contact in a campaign; the unique constraint allows each contact once."""

    __tablename__ = "recipients"

    campaign_id: Mapped[int] = mapped_column(sa.ForeignKey("campaigns.id"))
    contact_id: Mapped[int] = mapped_column(sa.ForeignKey("contacts.id"), index=True)
    # Meta's timestamp of the first answer.
    answered_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    __table_args__ = (
        sa.UniqueConstraint("campaign_id", "contact_id"),
        sa.Index(
            "ix_recipients_answered",
            "campaign_id",
            **index_where("answered_at IS NOT NULL"),
        ),
        sa.Index("ix_recipients_figures", "campaign_id", "state", "contact_id"),
        sa.Index("ix_recipients_wamid", "wamid"),
        sa.Index(
            "ix_recipients_due",
            "campaign_id",
            "due_at",
            "id",
            **index_where("state = 'queued'"),
        ),
        sa.Index(
            "ix_recipients_in_flight",
            "state",
            "claimed_until",
            **index_where("state IN ('sending', 'unknown')"),
        ),
    )
