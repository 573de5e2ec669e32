"""Segments: saved filters over contacts."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from chatbot.core import clock
from chatbot.core.db import Base, BigId, Json, UtcDateTime


class Segment(Base):
    """A named rule. `rule` is the input of `rules.parse_rule`, which checks it again at each use."""

    __tablename__ = "segments"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(100), unique=True)
    rule: Mapped[list[Any]] = mapped_column(Json)
    created_by: Mapped[str] = mapped_column(sa.String(254), default="")
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=clock.now)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime, default=clock.now)
