"""What is known of each alert: in SQL, so that it is told once over all processes and any outage."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from chatbot.core.cache.invalidation import has_changed
from chatbot.core.db import Base, Json, UtcDateTime

ALERTS_TAG = "alerts"  # the cache's topic of what fires


class AlertState(StrEnum):
    QUIET = "quiet"
    FIRING = "firing"


class Alert(Base):
    """One rule's state. `due_at`, by the database's clock, is when somebody shall look again: whoever
    looks puts it off first, so all processes together look once."""

    __tablename__ = "alerts"

    name: Mapped[str] = mapped_column(sa.String(40), primary_key=True)
    due_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    state: Mapped[str] = mapped_column(sa.String(10), default=AlertState.QUIET)
    # The state of which people were told last.
    notified_state: Mapped[str] = mapped_column(sa.String(10), default=AlertState.QUIET)
    # Since when the facts have spoken against the state.
    pending_since: Mapped[datetime | None] = mapped_column(UtcDateTime)
    changed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    # What the sentence is filled with, and what the rule wants to know at its next look.
    values: Mapped[dict[str, Any]] = mapped_column(Json, default=dict)

    def cache_tags(self) -> Iterable[str]:
        """A look that changes nothing but the figures ends nothing."""
        return (ALERTS_TAG,) if has_changed(self, "state") else ()
