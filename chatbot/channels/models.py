"""Tables of our numbers: one row per business number on WhatsApp, and the events Meta reported."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from chatbot.core import clock
from chatbot.core.db import Base, BigId, UtcDateTime


class AccountState(StrEnum):
    """State of the account at Meta. Only an active one may message people first."""

    ACTIVE = "active"
    RESTRICTED = "restricted"
    DISABLED = "disabled"
    DELETED = "deleted"


class Severity(StrEnum):
    """Severity of a channel's event; also its colour on the page."""

    INFO = "info"
    WARN = "warn"
    BAD = "bad"


class Channel(Base):
    __tablename__ = "channels"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    phone_number_id: Mapped[str] = mapped_column(sa.String(40), unique=True)
    business_account_id: Mapped[str] = mapped_column(sa.String(40))
    name: Mapped[str] = mapped_column(sa.String(200))
    display_phone: Mapped[str] = mapped_column(sa.String(30), default="")
    # Number of people outside their service window whom Meta lets the portfolio message in 24 hours;
    # None: no known limit.
    daily_limit: Mapped[int | None]
    # Set by an error that makes every send from this number fail (invalid token, locked account).
    halted_reason: Mapped[str | None] = mapped_column(sa.String(300))
    # Meta's values: GREEN, YELLOW, RED or UNKNOWN; STANDARD (80 messages a second) or HIGH (1,000).
    quality: Mapped[str] = mapped_column(sa.String(10), default="UNKNOWN", server_default="UNKNOWN")
    throughput: Mapped[str] = mapped_column(
        sa.String(15), default="STANDARD", server_default="STANDARD"
    )
    # Time of the last template sync, by which a worker also claims the next one; None: a sync is due.
    templates_synced_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    account_state: Mapped[str] = mapped_column(
        sa.String(10), default=AccountState.ACTIVE, server_default=AccountState.ACTIVE.value
    )


class ChannelEvent(Base):
    """Event that Meta reported about a number, its account or its templates. Append-only.

    `fingerprint` keeps a repeated webhook from being a second event. `subject` is a template, or empty
    for the number itself. Of one field and subject, the latest event by Meta's time is valid.
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
