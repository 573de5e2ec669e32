"""Find the contact that a command names."""

from __future__ import annotations

from chatbot.brazil.phone import InvalidPhone, parse_phone
from chatbot.contacts.models import Contact, ContactIdentity, IdentityKind
from chatbot.contacts.queries import get_contact
from chatbot.core.db import db
from chatbot.core.errors import NotFound

MAX_ID_DIGITS = 9  # a phone with its area code has at least ten


def get_by_id_or_phone(typed: str) -> Contact:
    """Return the contact with this id or phone. Raises NotFound."""
    if typed.isdecimal() and len(typed) <= MAX_ID_DIGITS:
        return get_contact(int(typed))
    try:
        key = parse_phone(typed).match_key
    except InvalidPhone:
        raise NotFound("Give the contact's id, or its phone with the area code.") from None
    identity = db.session.get(ContactIdentity, (IdentityKind.PHONE, key))
    if identity is None or identity.released_at is not None:
        raise NotFound("No contact has this phone.")
    return get_contact(identity.contact_id)
