"""Opt-outs stored under a keyed hash of the identity.

They survive the erasure of the contact, so importing a list again does not undo an opt-out. The hash is
HMAC-SHA256 with SUPPRESSION_KEY, because a plain hash of a phone can be reversed by trying all phones.
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

# A username is left out, because it can pass to another person.
PERMANENT_KINDS = (IdentityKind.PHONE, IdentityKind.BSUID, IdentityKind.PARENT_BSUID)

IdentityKey = tuple[str, str]  # kind and value, as in contact_identities


def compute_digest(kind: str, value: str) -> str:
    """Return the keyed hash of an identity: 64 hexadecimal digits."""
    key = get_settings(current_app).suppression_key.encode()
    return hmac.digest(key, f"{kind}:{value}".encode(), "sha256").hex()


def suppress_contacts(connection: sa.Connection, contact_ids: Sequence[int]) -> None:
    """Store the identities of those contacts who are opted out; skip stored ones."""
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
    """Delete the stored opt-outs of a contact who agreed again."""
    query = sa.select(ContactIdentity.kind, ContactIdentity.value).where(_belong_to([contact_id]))
    unsuppress_identities(connection, [(kind, value) for kind, value in connection.execute(query)])


def unsuppress_identities(connection: sa.Connection, identities: Sequence[IdentityKey]) -> None:
    digests = [compute_digest(kind, value) for kind, value in identities]
    connection.execute(sa.delete(Suppression).where(Suppression.digest.in_(digests)))


def find_suppressed_since(
    connection: sa.Connection, identities: Sequence[IdentityKey]
) -> datetime | None:
    """Return the time of the latest opt-out stored for these identities, or None."""
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
