"""Message templates, as last synced from Meta."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from chatbot.core.db import Base, BigId, Json, UtcDateTime


class TemplateStatus(StrEnum):
    """Statuses that matter to us; others of Meta are stored as they come."""

    APPROVED = "APPROVED"
    PAUSED = "PAUSED"
    DISABLED = "DISABLED"
    REJECTED = "REJECTED"
    PENDING = "PENDING"
    DELETED = "DELETED"


class MessageTemplate(Base):
    __tablename__ = "message_templates"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    channel_id: Mapped[int] = mapped_column(sa.ForeignKey("channels.id"))
    name: Mapped[str] = mapped_column(sa.String(512))
    language: Mapped[str] = mapped_column(sa.String(15))
    category: Mapped[str] = mapped_column(sa.String(40))
    status: Mapped[str] = mapped_column(sa.String(30))
    parameter_format: Mapped[str] = mapped_column(sa.String(15), default="POSITIONAL")
    # Meta's rating: GREEN, YELLOW, RED or UNKNOWN.
    quality: Mapped[str] = mapped_column(sa.String(10), default="UNKNOWN", server_default="UNKNOWN")
    # Code of Meta, such as INVALID_FORMAT.
    rejected_reason: Mapped[str | None] = mapped_column(sa.String(60))
    components: Mapped[list[dict[str, Any]]] = mapped_column(Json, default=list)
    synced_at: Mapped[datetime] = mapped_column(UtcDateTime)

    __table_args__ = (sa.UniqueConstraint("channel_id", "name", "language"),)
