"""Our numbers: one row per business number connected to WhatsApp, and what Meta said about it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from chatbot.core import clock
from chatbot.core.db import Base, BigId, UtcDateTime


class AccountState(StrEnum):
    """How Meta stands to the account; only `active` may write to people first."""

    ACTIVE = "active"
    RESTRICTED = "restricted"
    DISABLED = "disabled"
    DELETED = "deleted"


class Severity(StrEnum):
    """How much an event of the channel matters; also its colour on the page."""

    INFO = "info"
    WARN = "warn"
    BAD = "bad"


class Channel(Base):
    __tablename__ = "channels"

    id: Mapped[int] = mapped_column(primary_key=True)
    phone_number_id: Mapped[str] = mapped_column(sa.String(40), unique=True)
    business_account_id: Mapped[str] = mapped_column(sa.String(40))
    name: Mapped[str] = mapped_column(sa.String(200))
    display_phone: Mapped[str] = mapped_column(sa.String(30), default="")
    # How many people outside their service window Meta lets the portfolio reach in 24 hours; None: no
    # limit that we were told of.
    daily_limit: Mapped[int | None]
    # Set by an error that makes every send on this number pointless (token dead, account locked).
    halted_reason: Mapped[str | None] = mapped_column(sa.String(300))
    # Meta's words: GREEN, YELLOW, RED or UNKNOWN; and STANDARD (80 messages a second) or HIGH (1,000).
    quality: Mapped[str] = mapped_column(sa.String(10), default="UNKNOWN", server_default="UNKNOWN")
    throughput: Mapped[str] = mapped_column(
        sa.String(15), default="STANDARD", server_default="STANDARD"
    )
    # When Meta's templates were last asked for, and so the mark by which one worker does it at a time;
    # none: they differ from ours, and are due.
    templates_synced_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    account_state: Mapped[str] = mapped_column(
        sa.String(10), default=AccountState.ACTIVE, server_default=AccountState.ACTIVE.value
    )


class ChannelEvent(Base):
    """What Meta told us about a number, its account or its templates; only ever added.

    `fingerprint` makes the same webhook one event, however often it comes. `subject` is what the event
    is about (a template, or nothing for the number itself): of one field and subject the latest by
    Meta's time is what holds.
    """

    __tablename__ = "channel_events"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    channel_id: Mapped[int] = mapped_column(sa.ForeignKey("channels.id"))
    field: Mapped[str] = mapped_column(sa.String(40))
    subject: Mapped[str] = mapped_column(sa.String(600), default="")
    event: Mapped[str] = mapped_column(sa.String(60), default="")
    severity: Mapped[str] = mapped_column(sa.String(5), default=Severity.INFO)
    detail: Mapped[str] = mapped_column(sa.String(500), default="")
    fingerprint: Mapped[str] = mapped_column(sa.String(32))
    happened_at: Mapped[datetime] = mapped_column(UtcDateTime)
    recorded_at: Mapped[datetime] = mapped_column(UtcDateTime, default=clock.now)

    __table_args__ = (
        sa.UniqueConstraint("channel_id", "fingerprint"),
        sa.Index(None, "channel_id", "id"),
    )
