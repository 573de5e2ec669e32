"""Invoices of contacts."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from chatbot.contacts.models import contact_cache_tag
from chatbot.core import clock
from chatbot.core.db import Base, BigId, UtcDateTime


class InvoiceState(StrEnum):
    OPEN = "open"
    PAID = "paid"
    CANCELLED = "cancelled"


class Invoice(Base):
    """An invoice: the amount in cents of real, `line` the digits of the boleto's digitable line."""

    __tablename__ = "invoices"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    contact_id: Mapped[int] = mapped_column(sa.ForeignKey("contacts.id"))
    reference: Mapped[str] = mapped_column(sa.String(60), unique=True)
    description: Mapped[str] = mapped_column(sa.String(200))
    due_on: Mapped[date]
    amount_cents: Mapped[int]
    state: Mapped[str] = mapped_column(sa.String(10), default=InvoiceState.OPEN)
    line: Mapped[str | None] = mapped_column(sa.String(48))
    pix_code: Mapped[str | None] = mapped_column(sa.String(512))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=clock.now)

    __table_args__ = (sa.Index(None, "contact_id", "state", "due_on"),)

    def cache_tags(self) -> Iterable[str]:
        return (contact_cache_tag(self.contact_id),)
