"""What Meta posted: the raw body, and the updates that are still to be applied or were set aside."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from chatbot.core.db import Base, BigId, EnumString, UtcDateTime


class WebhookQueue(StrEnum):
    """Statuses have a queue of their own, so that no customer waits behind a campaign's."""

    MESSAGES = "messages"
    STATUSES = "statuses"


class WorkState(StrEnum):
    NEW = "new"
    DONE = "done"
    QUARANTINED = "quarantined"


class WebhookBody(Base):
    """A body as it came. `queue` is the door's guess by a glance; the splitter decides. `attempts`: how
    often a batch was begun that it is the first of."""

    __tablename__ = "webhook_bodies"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    received_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    queue: Mapped[str] = mapped_column(EnumString(12))
    raw: Mapped[bytes]
    state: Mapped[str] = mapped_column(EnumString(12), default=WorkState.NEW)
    reason: Mapped[str | None] = mapped_column(sa.String(300))
    replays: Mapped[int] = mapped_column(default=0, server_default="0")
    attempts: Mapped[int] = mapped_column(default=0, server_default="0")

    __table_args__ = (
        sa.Index(
            "ix_webhook_bodies_new",
            "queue",
            "id",
            sqlite_where=sa.text("state = 'new'"),
            postgresql_where=sa.text("state = 'new'"),
        ),
    )


class WebhookUpdate(Base):
    """One update of a body that waits for its turn, or was quarantined after failing too often.

    Applied ones are deleted: the body keeps what they said.
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
            sqlite_where=sa.text("state = 'new'"),
            postgresql_where=sa.text("state = 'new'"),
        ),
        # Who else of this contact waits, or is being handled.
        sa.Index(
            "ix_webhook_updates_contact",
            "contact_key",
            "id",
            sqlite_where=sa.text("state = 'new'"),
            postgresql_where=sa.text("state = 'new'"),
        ),
        sa.Index(
            "ix_webhook_updates_quarantined",
            "id",
            sqlite_where=sa.text("state = 'quarantined'"),
            postgresql_where=sa.text("state = 'quarantined'"),
        ),
    )


class WebhookCount(Base):
    """How many updates of a kind came on a day (UTC); a replay is not counted again.

    What Prosa does not know is counted like the rest, so that a new kind of Meta's shows.
    """

    __tablename__ = "webhook_counts"

    day: Mapped[date] = mapped_column(sa.Date, primary_key=True)
    kind: Mapped[str] = mapped_column(sa.String(80), primary_key=True)
    number: Mapped[int] = mapped_column(sa.BigInteger)


class WaitingStatus(Base):
    """A status for a message that we don't know (yet): applied when its wamid is, kept 7 days."""

    __tablename__ = "waiting_statuses"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    wamid: Mapped[str] = mapped_column(sa.String(255), index=True)
    payload: Mapped[str] = mapped_column(sa.Text)
    received_at: Mapped[datetime] = mapped_column(UtcDateTime)
