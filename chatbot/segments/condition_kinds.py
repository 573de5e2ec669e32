"""Kinds of conditions on a contact, each with its SQL and its labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

import sqlalchemy as sa
from flask_babel import LazyString
from flask_babel import lazy_gettext as _l
from sqlalchemy.orm import aliased

from chatbot.billing.models import Invoice, InvoiceState
from chatbot.contacts.models import ConsentEvent, Contact, ContactTag
from chatbot.conversations.models import Conversation
from chatbot.core.db import db_now


class ValueType(StrEnum):
    """Type of a condition's value."""

    NOTHING = "nothing"
    TEXT = "text"
    DAYS = "days"


ConditionBuilder = Callable[[str, str, date], sa.ColumnElement[bool]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionKind:
    """Kind of condition. `phrase` and `negated_phrase` are sentences with %(name)s and %(value)s.

    `build(name, value, today)` returns the condition over Contact. It must never be NULL, because its
    negation has to hold for all other contacts.
    """

    label: LazyString
    phrase: LazyString
    negated_phrase: LazyString
    build: ConditionBuilder
    value_type: ValueType = ValueType.NOTHING
    needs_name: bool = False


def _has_tag(_name: str, value: str, _today: date) -> sa.ColumnElement[bool]:
    return sa.exists().where(ContactTag.contact_id == Contact.id, ContactTag.name == value)


def _attribute(name: str) -> sa.ColumnElement[str]:
    """Return an attribute in lower case, or an empty string if the contact lacks it."""
    return sa.func.lower(sa.func.coalesce(Contact.attributes[name].as_string(), ""))


def _attribute_is(name: str, value: str, _today: date) -> sa.ColumnElement[bool]:
    return _attribute(name) == value.lower()


def _attribute_contains(name: str, value: str, _today: date) -> sa.ColumnElement[bool]:
    return _attribute(name).contains(value.lower(), autoescape=True)


def _has_attribute(name: str, _value: str, _today: date) -> sa.ColumnElement[bool]:
    return sa.func.trim(_attribute(name)) != ""


def _opted_in(_name: str, _value: str, _today: date) -> sa.ColumnElement[bool]:
    """Match contacts that opted in once and have not opted out since."""
    said_yes = sa.exists().where(
        ConsentEvent.contact_id == Contact.id, ConsentEvent.kind == "opt_in"
    )
    return sa.and_(said_yes, Contact.opted_out_at.is_(None))


def _opted_out(_name: str, _value: str, _today: date) -> sa.ColumnElement[bool]:
    return Contact.opted_out_at.is_not(None)


def _wrote_within(_name: str, value: str, _today: date) -> sa.ColumnElement[bool]:
    return sa.exists().where(
        Conversation.contact_id == Contact.id,
        Conversation.last_inbound_at >= db_now(-86_400 * int(value)),
    )


def _has_invoice(*conditions: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    """Match open invoices of the contact and of contacts merged into it: merging does not move invoices."""
    other = aliased(Contact)
    # Correlation is not automatic two levels deep.
    merged = sa.select(other.id).where(other.merged_into_id == Contact.id).correlate(Contact)
    whose = sa.or_(Invoice.contact_id == Contact.id, Invoice.contact_id.in_(merged))
    return sa.exists().where(whose, Invoice.state == InvoiceState.OPEN, *conditions)


def _invoice_due_within(_name: str, value: str, today: date) -> sa.ColumnElement[bool]:
    until = today + timedelta(days=int(value))
    return _has_invoice(Invoice.due_on >= today, Invoice.due_on <= until)


def _invoice_overdue(_name: str, value: str, today: date) -> sa.ColumnElement[bool]:
    return _has_invoice(Invoice.due_on < today, Invoice.due_on <= today - timedelta(int(value)))


CONDITION_KINDS: dict[str, ConditionKind] = {
    "tag": ConditionKind(
        label=_l("has the tag"),
        phrase=_l("has the tag “%(value)s”"),
        negated_phrase=_l("does not have the tag “%(value)s”"),
        build=_has_tag,
        value_type=ValueType.TEXT,
    ),
    "attribute_is": ConditionKind(
        label=_l("attribute is"),
        phrase=_l("%(name)s is “%(value)s”"),
        negated_phrase=_l("%(name)s is not “%(value)s”"),
        build=_attribute_is,
        value_type=ValueType.TEXT,
        needs_name=True,
    ),
    "attribute_contains": ConditionKind(
        label=_l("attribute contains"),
        phrase=_l("%(name)s contains “%(value)s”"),
        negated_phrase=_l("%(name)s does not contain “%(value)s”"),
        build=_attribute_contains,
        value_type=ValueType.TEXT,
        needs_name=True,
    ),
    "has_attribute": ConditionKind(
        label=_l("has the attribute"),
        phrase=_l("%(name)s is filled in"),
        negated_phrase=_l("%(name)s is empty"),
        build=_has_attribute,
        needs_name=True,
    ),
    "opted_in": ConditionKind(
        label=_l("agreed to be contacted"),
        phrase=_l("agreed to be contacted"),
        negated_phrase=_l("has not agreed to be contacted"),
        build=_opted_in,
    ),
    "opted_out": ConditionKind(
        label=_l("wants no campaigns"),
        phrase=_l("wants no campaigns"),
        negated_phrase=_l("has not refused campaigns"),
        build=_opted_out,
    ),
    "seen_within": ConditionKind(
        label=_l("wrote to us in the last … days"),
        phrase=_l("wrote to us in the last %(value)s days"),
        negated_phrase=_l("has not written to us for %(value)s days"),
        build=_wrote_within,
        value_type=ValueType.DAYS,
    ),
    "invoice_due_within": ConditionKind(
        label=_l("has an open invoice due within … days"),
        phrase=_l("has an open invoice due within %(value)s days"),
        negated_phrase=_l("has no open invoice due within %(value)s days"),
        build=_invoice_due_within,
        value_type=ValueType.DAYS,
    ),
    "invoice_overdue": ConditionKind(
        label=_l("has an invoice overdue for at least … days"),
        phrase=_l("has an invoice overdue for at least %(value)s days"),
        negated_phrase=_l("has no invoice overdue for %(value)s days or more"),
        build=_invoice_overdue,
        value_type=ValueType.DAYS,
    ),
}


def condition_label(kind: str, name: str, value: str, *, negated: bool) -> str:
    """Return the sentence of one condition. `kind` is a key of CONDITION_KINDS."""
    found = CONDITION_KINDS[kind]
    sentence = str(found.negated_phrase if negated else found.phrase)
    return sentence % {"name": name.strip(), "value": value.strip()}
