"""Erase the personal data of a contact; an anonymous row and the opt-out remain."""

from __future__ import annotations

import sqlalchemy as sa

from chatbot.contacts.models import (
    CONTACTS_CACHE_TAG,
    ConsentEvent,
    Contact,
    ContactIdentity,
    ContactTag,
    contact_cache_tag,
)
from chatbot.contacts.suppression import suppress_contacts
from chatbot.core.db import db
from chatbot.extensions import cache


def anonymize_contact(contact: Contact) -> list[int]:
    """Erase what identifies the person; return the ids of the contact and those merged into it.

    The opt-out is kept as a hash. Consent events are kept without their evidence, as proof that the
    company had consent to write.
    """
    session = db.session
    ids = [contact.id, *session.scalars(sa.select(Contact.id).filter_by(merged_into_id=contact.id))]
    suppress_contacts(session.connection(), ids)
    for part in (ContactIdentity, ContactTag):
        session.execute(sa.delete(part).where(part.contact_id.in_(ids)))
    session.execute(
        sa.update(Contact)
        .where(Contact.id.in_(ids))
        .values(
            {
                **dict.fromkeys(("name", "search_name"), ""),
                **dict.fromkeys(("wa_id", "bsuid", "username", "phone", "document", "email")),
                "attributes": {},
            }
        )
    )
    session.execute(
        sa.update(ConsentEvent).where(ConsentEvent.contact_id.in_(ids)).values(evidence="")
    )
    session.expire_all()
    cache.invalidate(CONTACTS_CACHE_TAG, *map(contact_cache_tag, ids))
    return ids
