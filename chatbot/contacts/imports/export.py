"""Export of contacts as CSV, with everything that an import of the same file can restore."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from flask import Response
from flask_babel import gettext as _

from chatbot.brazil.phone import format_phone
from chatbot.contacts import queries
from chatbot.web.downloads import csv_response

YES = "sim"  # understood by `parse_yes_no` in every language of the panel


def export_contacts(typed: str, tag: str) -> Response:
    """Return the filtered list as CSV: the known columns, then one for each attribute."""
    attributes = queries.list_attribute_names()
    header = (
        _("Phone"), _("Name"), _("CPF or CNPJ"), _("E-mail"), _("Tags"),
        _("Agreed to campaigns"), _("No campaigns"), *attributes,
    )  # fmt: skip
    return csv_response(header, _build_rows(typed, tag, attributes), "contacts.csv")


def _build_rows(typed: str, tag: str, attributes: Sequence[str]) -> Iterator[tuple[object, ...]]:
    for page in queries.iterate_contact_pages(typed, tag):
        for contact in page.contacts:
            digits = (contact.phone or contact.wa_id or "").lstrip("+")
            yield (
                format_phone(digits) if digits else "",
                contact.name,
                contact.document,
                contact.email,
                ", ".join(page.tags.get(contact.id, [])),
                YES if contact.id in page.opted_in and not contact.opted_out_at else "",
                YES if contact.opted_out_at else "",
                *(contact.attributes.get(name, "") for name in attributes),
            )
