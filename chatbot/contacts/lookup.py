"""The one contact that somebody names at the command line."""

from __future__ import annotations

from chatbot.brazil.phone import InvalidPhone, parse_phone
from chatbot.contacts.models import Contact, ContactIdentity, IdentityKind
from chatbot.contacts.queries import get_contact
from chatbot.core.db import db
from chatbot.core.errors import NotFound

MAX_ID_DIGITS = 9  # a phone has ten with its area code


def get_by_id_or_phone(typed: str) -> Contact:
    """Raises NotFound, also for what is neither an id nor a phone."""
    if typed.isdecimal() and len(typed) <= MAX_ID_DIGITS:
        return get_contact(int(typed))
    try:
        key = parse_phone(typed).match_key
    except InvalidPhone:
        raise NotFound("Name the contact by its id, or by its phone with the area code.") from None
    identity = db.session.get(ContactIdentity, (IdentityKind.PHONE, key))
    if identity is None or identity.released_at is not None:
        raise NotFound("No contact has this phone.")
    return get_contact(identity.contact_id)
