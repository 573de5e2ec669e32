"""Open invoices of a contact, for the bot and the panel."""

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
    """An invoice to be paid: `amount` in reais, `line` the digits of the boleto's digitable line."""

    id: int
    description: str
    due_on: date
    amount: Decimal
    line: str | None
    pix_code: str | None

    def is_overdue(self, today: date) -> bool:
        return self.due_on < today


def list_open_invoices(contact_id: int) -> list[OpenInvoice]:
    """Return invoices of the contact and of contacts merged into it, the oldest due first."""
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
