"""The columns that make a table a ledger of things to send, and what delivery itself remembers."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from chatbot.core.db import Base, BigId, EnumString, UtcDateTime, db_now
from chatbot.delivery.states import MessageState


class SendTableMixin:
    """One row is one message to one person. `attempt` is the fence: each claim raises it, and a
    result or a status counts only for the attempt it names."""

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    state: Mapped[str | None] = mapped_column(EnumString(10), default=MessageState.QUEUED)
    attempt: Mapped[int] = mapped_column(default=0)
    due_at: Mapped[datetime] = mapped_column(UtcDateTime, default=db_now())
    claim_token: Mapped[str | None] = mapped_column(sa.String(32), index=True)
    claimed_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    # How often its worker vanished while it had the row.
    times_lost: Mapped[int] = mapped_column(default=0, server_default="0")
    # Until when a row in doubt waits for its status before its policy decides.
    doubt_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    wamid: Mapped[str | None] = mapped_column(sa.String(255))
    skip_reason: Mapped[str | None] = mapped_column(sa.String(40))
    error_code: Mapped[int | None]
    error_detail: Mapped[str | None] = mapped_column(sa.String(500))
    accepted_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    sent_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    delivered_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    read_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    failed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class DoubleAcceptance(Base):
    """Alarm: Meta accepted two attempts of one row, so a person has got it twice."""

    __tablename__ = "double_acceptances"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    send_table: Mapped[str] = mapped_column(sa.String(1))
    row_id: Mapped[int] = mapped_column(BigId)
    attempt: Mapped[int]
    wamid: Mapped[str] = mapped_column(sa.String(255))
    seen_at: Mapped[datetime] = mapped_column(UtcDateTime, default=db_now())

    __table_args__ = (sa.UniqueConstraint("send_table", "row_id", "wamid"),)


class ReceiptWatermark(Base):
    """All that Meta had told us about a channel by `drained_at` has been applied.

    Written by webhooks; without it, the absence of a status proves nothing.
    """

    __tablename__ = "receipt_watermarks"

    channel_id: Mapped[int] = mapped_column(sa.ForeignKey("channels.id"), primary_key=True)
    drained_at: Mapped[datetime] = mapped_column(UtcDateTime)
