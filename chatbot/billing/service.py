"""Open invoices of a contact, as what the bot and the panel may show."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

import sqlalchemy as sa

from chatbot.billing.models import Invoice, InvoiceState
from chatbot.contacts.models import Contact
from chatbot.core.db import db

MAX_OPEN_INVOICES = 12


@dataclass(frozen=True, slots=True)
class OpenInvoice:
    """`amount` is reais; `line` is the digitable line's digits."""

    id: int
    description: str
    due_on: date
    amount: Decimal
    line: str | None
    pix_code: str | None

    def is_overdue(self, today: date) -> bool:
        return self.due_on < today


def list_open_invoices(contact_id: int) -> list[OpenInvoice]:
    """Those still to be paid, the oldest due first; also of contacts that proved to be this one."""
    merged = sa.select(Contact.id).where(Contact.merged_into_id == contact_id)
    whose = sa.or_(Invoice.contact_id == contact_id, Invoice.contact_id.in_(merged))
    rows = db.session.scalars(
        sa.select(Invoice)
        .where(whose, Invoice.state == InvoiceState.OPEN)
        .order_by(Invoice.due_on, Invoice.id)
        .limit(MAX_OPEN_INVOICES)
    )
    return [
        OpenInvoice(
            row.id,
            row.description,
            row.due_on,
            Decimal(row.amount_cents) / 100,
            row.line,
            row.pix_code,
        )
        for row in rows
    ]
