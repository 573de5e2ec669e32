"""Who opted out, remembered under a keyed hash: it survives the erasure of the contact, and so a list
that is imported again brings back nobody who said no.

The hash is HMAC-SHA256 with SUPPRESSION_KEY: phones are few enough to try them all against a plain one.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from flask import current_app

from chatbot.contacts.models import Contact, ContactIdentity, IdentityKind, Suppression
from chatbot.core.db import upsert
from chatbot.extensions import get_settings

# What names one person for good; a username may be somebody else's tomorrow.
PERMANENT_KINDS = (IdentityKind.PHONE, IdentityKind.BSUID, IdentityKind.PARENT_BSUID)

IdentityKey = tuple[str, str]  # kind and value, as in contact_identities


def compute_digest(kind: str, value: str) -> str:
    """What a name is called in `suppressions`: 64 hexadecimal digits."""
    key = get_settings(current_app).suppression_key.encode()
    return hmac.digest(key, f"{kind}:{value}".encode(), "sha256").hex()


def suppress_contacts(connection: sa.Connection, contact_ids: Sequence[int]) -> None:
    """Remember all names of those of them who are opted out. Harmless when that was done before."""
    rows = connection.execute(
        sa.select(ContactIdentity.kind, ContactIdentity.value, Contact.opted_out_at)
        .join(Contact, Contact.id == ContactIdentity.contact_id)
        .where(_belong_to(contact_ids), Contact.opted_out_at.is_not(None))
    )
    suppressions = [
        {"digest": compute_digest(kind, value), "since": since} for kind, value, since in rows
    ]
    if suppressions:
        connection.execute(
            upsert(connection, Suppression).values(suppressions).on_conflict_do_nothing()
        )


def unsuppress_contact(connection: sa.Connection, contact_id: int) -> None:
    """They agreed again: nothing of theirs is suppressed any more."""
    query = sa.select(ContactIdentity.kind, ContactIdentity.value).where(_belong_to([contact_id]))
    unsuppress_identities(connection, [(kind, value) for kind, value in connection.execute(query)])


def unsuppress_identities(connection: sa.Connection, identities: Sequence[IdentityKey]) -> None:
    digests = [compute_digest(kind, value) for kind, value in identities]
    connection.execute(sa.delete(Suppression).where(Suppression.digest.in_(digests)))


def find_suppressed_since(
    connection: sa.Connection, identities: Sequence[IdentityKey]
) -> datetime | None:
    """When whoever has one of these names said no for the last time; None if nobody did."""
    digests = [compute_digest(kind, value) for kind, value in identities if kind in PERMANENT_KINDS]
    query = sa.select(sa.func.max(Suppression.since)).where(Suppression.digest.in_(digests))
    since: datetime | None = connection.scalar(query) if digests else None
    return since


def _belong_to(contact_ids: Sequence[int]) -> sa.ColumnElement[bool]:
    return sa.and_(
        ContactIdentity.contact_id.in_(contact_ids),
        ContactIdentity.kind.in_(PERMANENT_KINDS),
        ContactIdentity.released_at.is_(None),
    )
