"""State of each alert. It is in SQL, so that a change is sent once over all processes and any outage."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from chatbot.core.cache.invalidation import has_changed
from chatbot.core.db import Base, Json, UtcDateTime

ALERTS_TAG = "alerts"  # cache tag of the firing alerts


class AlertState(StrEnum):
    QUIET = "quiet"
    FIRING = "firing"


class Alert(Base):
    """State of one rule.

    `due_at` (database clock) is when the next evaluation is due. A process postpones it before it
    evaluates, so only one process does.
    """

    __tablename__ = "alerts"

    name: Mapped[str] = mapped_column(sa.String(40), primary_key=True)
    due_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    state: Mapped[str] = mapped_column(sa.String(10), default=AlertState.QUIET)
    # The state in the last notification.
    notified_state: Mapped[str] = mapped_column(sa.String(10), default=AlertState.QUIET)
    # Since when the rule's result has differed from the state.
    pending_since: Mapped[datetime | None] = mapped_column(UtcDateTime)
    changed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    # Values for the sentence, passed to the rule at its next evaluation.
    values: Mapped[dict[str, Any]] = mapped_column(Json, default=dict)

    def cache_tags(self) -> Iterable[str]:
        """Return the tags to invalidate: none if only the figures changed."""
        return (ALERTS_TAG,) if has_changed(self, "state") else ()
