"""What is left of a contact whose data is erased: a row without a name, and that they opted out."""

from __future__ import annotations

import sqlalchemy as sa

from chatbot.contacts.models import (
    CONTACTS,
    ConsentEvent,
    Contact,
    ContactIdentity,
    ContactTag,
    topic_of,
)
from chatbot.contacts.suppression import suppress
from chatbot.core.cache import forget
from chatbot.core.db import db


def erase(contact: Contact) -> list[int]:
    """Take away all that tells who it is; returns the ids of the contacts that this person was.

    Their opt-out stays, by hash alone. That they agreed or not stays too, without the words: it is the
    proof that the company wrote to somebody who let it.
    """
    session = db.session
    ids = [contact.id, *session.scalars(sa.select(Contact.id).filter_by(merged_into_id=contact.id))]
    suppress(session.connection(), ids)
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
    forget(CONTACTS, *map(topic_of, ids))
    return ids
