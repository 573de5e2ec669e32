"""A saved filter over contacts."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from chatbot.core import clock
from chatbot.core.db import Base, Json, UtcDateTime


class Segment(Base):
    """`rule` is what `rules.parse_rule` reads; it is parsed anew at each use, never trusted."""

    __tablename__ = "segments"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(100), unique=True)
    rule: Mapped[list[Any]] = mapped_column(Json)
    created_by: Mapped[str] = mapped_column(sa.String(254), default="")
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=clock.now)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime, default=clock.now)
