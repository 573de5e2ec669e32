"""Tables of webhooks: raw bodies, updates that are waiting or quarantined, daily counts."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from chatbot.core.db import Base, BigId, EnumString, UtcDateTime, index_where


class WebhookQueue(StrEnum):
    """Queue of bodies and updates. No customer's message waits behind the statuses of a campaign."""

    MESSAGES = "messages"
    STATUSES = "statuses"


class WorkState(StrEnum):
    NEW = "new"
    DONE = "done"
    QUARANTINED = "quarantined"


class WebhookBody(Base):
    """Body as it was received.

    `queue` is the endpoint's guess from a text search; each update gets its queue when it is parsed.
    `attempts` counts the batches that began with this body, and `claimed_until` leases the last of them.
    """

    __tablename__ = "webhook_bodies"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    received_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    queue: Mapped[str] = mapped_column(EnumString(12))
    raw: Mapped[bytes]
    state: Mapped[str] = mapped_column(EnumString(12), default=WorkState.NEW)
    reason: Mapped[str | None] = mapped_column(sa.String(300))
    replays: Mapped[int] = mapped_column(default=0, server_default="0")
    attempts: Mapped[int] = mapped_column(default=0, server_default="0")
    claimed_until: Mapped[datetime | None] = mapped_column(UtcDateTime)

    __table_args__ = (
        sa.Index(
            "ix_webhook_bodies_new",
            "queue",
            "id",
            **index_where("state = 'new'"),
        ),
    )


class WebhookUpdate(Base):
    """Update of a body that waits to be applied, or was quarantined.

    Applied updates are deleted: their content stays in the body.
    """

    __tablename__ = "webhook_updates"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    body_id: Mapped[int] = mapped_column(sa.ForeignKey("webhook_bodies.id"), index=True)
    queue: Mapped[str] = mapped_column(EnumString(12))
    kind: Mapped[str] = mapped_column(sa.String(40))
    # Updates of one contact are handled in order, by (Meta's timestamp, arrival).
    contact_key: Mapped[str] = mapped_column(sa.String(160), default="")
    happened_at: Mapped[datetime] = mapped_column(UtcDateTime)
    payload: Mapped[str] = mapped_column(sa.Text)
    state: Mapped[str] = mapped_column(EnumString(12), default=WorkState.NEW)
    attempts: Mapped[int] = mapped_column(default=0)
    claimed_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    reason: Mapped[str | None] = mapped_column(sa.String(300))

    __table_args__ = (
        sa.Index(
            "ix_webhook_updates_new",
            "queue",
            "happened_at",
            "id",
            **index_where("state = 'new'"),
        ),
        # Finds other updates of a contact that wait or are leased.
        sa.Index(
            "ix_webhook_updates_contact",
            "contact_key",
            "id",
            **index_where("state = 'new'"),
        ),
        sa.Index(
            "ix_webhook_updates_quarantined",
            "id",
            **index_where("state = 'quarantined'"),
        ),
    )


class WebhookCount(Base):
    """Number of updates of a kind received on a day (UTC), without replays.

    Unknown kinds are counted too, so that new ones of Meta's show up.
    """

    __tablename__ = "webhook_counts"

    day: Mapped[date] = mapped_column(sa.Date, primary_key=True)
    kind: Mapped[str] = mapped_column(sa.String(80), primary_key=True)
    number: Mapped[int] = mapped_column(sa.BigInteger)


class WaitingStatus(Base):
    """Status of an unknown message: applied once its wamid is known, deleted after 7 days."""

    __tablename__ = "waiting_statuses"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    wamid: Mapped[str] = mapped_column(sa.String(255), index=True)
    payload: Mapped[str] = mapped_column(sa.Text)
    received_at: Mapped[datetime] = mapped_column(UtcDateTime)
