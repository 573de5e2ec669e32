"""Search contacts by part of a name or phone."""

from __future__ import annotations

import re

import sqlalchemy as sa

from chatbot.brazil.phone import InvalidPhone, parse_phone
from chatbot.contacts.models import Contact, ContactIdentity, IdentityKind
from chatbot.core.text import fold

MAX_SEARCH_LENGTH = 100
MIN_DIGITS = 4
_NOT_A_DIGIT = re.compile(r"[^0-9]")
_PHONE_LIKE = re.compile(r"[0-9\s()+.\-]+")


def search_condition(typed: str) -> sa.ColumnElement[bool] | None:
    """Return the condition on Contact, or None if nothing was typed.

    Ignores accents and case; finds a phone in any spelling, with or without its ninth digit.
    """
    typed = typed.strip()[:MAX_SEARCH_LENGTH]
    if not typed:
        return None
    digits = _NOT_A_DIGIT.sub("", typed)
    if _PHONE_LIKE.fullmatch(typed) and len(digits) >= MIN_DIGITS:
        return _phone_condition(typed, digits)
    return Contact.search_name.contains(fold(typed), autoescape=True)


def _phone_condition(typed: str, digits: str) -> sa.ColumnElement[bool]:
    found = sa.or_(Contact.phone.contains(digits), Contact.wa_id.contains(digits))
    try:
        key = parse_phone(typed).match_key
    except InvalidPhone:
        return found
    identity = sa.select(ContactIdentity.contact_id).where(
        ContactIdentity.kind == IdentityKind.PHONE, ContactIdentity.value == key
    )
    return sa.or_(found, Contact.id.in_(identity))
