"""Message states, the columns of a send table, and the tables that delivery itself keeps."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from chatbot.core.db import Base, BigId, EnumString, UtcDateTime, db_now


class MessageState(StrEnum):
    """State of an outbound message.

    `queued` and `sending` are set by us, `accepted` by Meta's 200. The others come by webhook, except
    `skipped` (never sent, with a reason) and `unknown` (perhaps sent: we got no answer).
    """

    QUEUED = "queued"
    SKIPPED = "skipped"
    SENDING = "sending"
    UNKNOWN = "unknown"
    ACCEPTED = "accepted"
    SENT = "sent"
    FAILED = "failed"
    DELIVERED = "delivered"
    READ = "read"


# A status raises a row to its state or changes nothing, so the order in which statuses arrive does not
# matter. `failed` is below `delivered`: Meta reports the two in either order, and a message that a
# device received has not failed.
STATE_ORDER = (
    MessageState.QUEUED,
    MessageState.SKIPPED,
    MessageState.SENDING,
    MessageState.UNKNOWN,
    MessageState.ACCEPTED,
    MessageState.SENT,
    MessageState.FAILED,
    MessageState.DELIVERED,
    MessageState.READ,
)
RANK = {state: rank for rank, state in enumerate(STATE_ORDER)}

# Claimed, and no result is known yet.
IN_FLIGHT = (MessageState.SENDING, MessageState.UNKNOWN)

# Statuses of Meta that are not listed change nothing.
STATE_BY_META_STATUS = {
    "sent": MessageState.SENT,
    "delivered": MessageState.DELIVERED,
    "read": MessageState.READ,
    "played": MessageState.READ,
    "failed": MessageState.FAILED,
}


def rank_expression(column: Any) -> sa.Case[int]:
    """Return the rank of a state column, in SQL."""
    return sa.case({state.value: rank for state, rank in RANK.items()}, value=column, else_=-1)


class SendTableMixin:
    """Columns of a table whose rows are messages to be sent, one to one person each.

    Each claim raises `attempt`; a result or a status counts only for the attempt that it names.
    """

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    state: Mapped[str | None] = mapped_column(EnumString(10), default=MessageState.QUEUED)
    attempt: Mapped[int] = mapped_column(default=0)
    due_at: Mapped[datetime] = mapped_column(UtcDateTime, default=db_now())
    claim_token: Mapped[str | None] = mapped_column(sa.String(32), index=True)
    claimed_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    # How many workers vanished while they had the row.
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
    """Alarm: Meta accepted two attempts of one row, so a person got the message twice."""

    __tablename__ = "double_acceptances"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    send_table: Mapped[str] = mapped_column(sa.String(1))
    row_id: Mapped[int] = mapped_column(BigId)
    attempt: Mapped[int]
    wamid: Mapped[str] = mapped_column(sa.String(255))
    seen_at: Mapped[datetime] = mapped_column(UtcDateTime, default=db_now())

    __table_args__ = (sa.UniqueConstraint("send_table", "row_id", "wamid"),)


class ReceiptWatermark(Base):
    """Time up to which all webhooks of a channel have been applied.

    Without it, the absence of a status proves nothing.
    """

    __tablename__ = "receipt_watermarks"

    channel_id: Mapped[int] = mapped_column(sa.ForeignKey("channels.id"), primary_key=True)
    drained_at: Mapped[datetime] = mapped_column(UtcDateTime)
