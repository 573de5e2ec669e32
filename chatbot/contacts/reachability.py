"""Bulk updates of contacts from deliveries and statuses, in a constant number of statements each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from chatbot.brazil.phone import match_key
from chatbot.contacts.models import (
    CONTACTS_CACHE_TAG,
    ConsentEvent,
    Contact,
    ContactIdentity,
    IdentityKind,
    contact_cache_tag,
    is_dated_consent,
)
from chatbot.contacts.suppression import suppress_contacts
from chatbot.core.cache.invalidation import invalidate_with
from chatbot.core.db import UtcDateTime, db_now, timestamp_text, upsert
from chatbot.core.db.bulk_sql import json_rows

# Meta asks to wait at least 24 hours after error 131049 (Meta, Cloud API error codes).
MARKETING_PAUSE_S = 24 * 3600.0


def record_opt_outs(connection: sa.Connection, when: Mapping[int, datetime], evidence: str) -> None:
    """Opt out the contacts (id → time) who stopped marketing, unless they decided otherwise since."""
    rows = [(contact_id, timestamp_text(at)) for contact_id, at in when.items()]
    v = json_rows(connection, rows, contact_id=sa.BigInteger(), at=UtcDateTime())
    decided = sa.exists().where(
        ConsentEvent.contact_id == v.c.contact_id,
        ConsentEvent.happened_at > v.c.at,
        is_dated_consent(),
    )
    ids = connection.scalars(
        sa.update(Contact)
        .where(Contact.id == v.c.contact_id, Contact.opted_out_at.is_(None), ~decided)
        .values(opted_out_at=v.c.at)
        .returning(Contact.id)
    ).all()
    if ids:
        invalidate_with(connection, CONTACTS_CACHE_TAG, *map(contact_cache_tag, ids))
        connection.execute(
            sa.insert(ConsentEvent),
            [
                {
                    "contact_id": contact_id,
                    "kind": "opt_out",
                    "source": "meta",
                    "evidence": evidence,
                    "happened_at": when[contact_id],
                }
                for contact_id in ids
            ],
        )
        suppress_contacts(connection, ids)


def mark_unreachable(connection: sa.Connection, contact_ids: Sequence[int]) -> None:
    """Exclude contacts from campaigns until they write or a message reaches them."""
    invalidate_with(connection, CONTACTS_CACHE_TAG, *map(contact_cache_tag, contact_ids))
    connection.execute(
        sa.update(Contact)
        .where(Contact.id.in_(contact_ids), Contact.unreachable_at.is_(None))
        .values(unreachable_at=db_now())
    )


def mark_reachable(connection: sa.Connection, contacts: sa.Select[int]) -> None:
    ids = connection.scalars(
        sa.update(Contact)
        .where(Contact.unreachable_at.is_not(None), Contact.id.in_(contacts))
        .values(unreachable_at=None)
        .returning(Contact.id)
    ).all()
    invalidate_with(connection, *map(contact_cache_tag, ids))


def pause_marketing(connection: sa.Connection, when: Mapping[int, datetime]) -> None:
    """Pause marketing to contacts (id → time of Meta's refusal) for MARKETING_PAUSE_S."""
    invalidate_with(connection, *map(contact_cache_tag, when))
    rows = [
        (i, timestamp_text(at + timedelta(seconds=MARKETING_PAUSE_S))) for i, at in when.items()
    ]
    v = json_rows(connection, rows, contact_id=sa.BigInteger(), until=UtcDateTime())
    connection.execute(
        sa.update(Contact)
        .where(
            Contact.id == v.c.contact_id,
            sa.or_(
                Contact.marketing_paused_until.is_(None), Contact.marketing_paused_until < v.c.until
            ),
        )
        .values(marketing_paused_until=v.c.until)
    )


def record_wa_ids(connection: sa.Connection, wa_ids: Mapping[int, str]) -> None:
    """Save the ids that Meta gives these contacts (contact id → wa_id), to send to and recognize them."""
    invalidate_with(connection, CONTACTS_CACHE_TAG, *map(contact_cache_tag, wa_ids))
    v = json_rows(connection, list(wa_ids.items()), contact_id=sa.BigInteger(), wa_id=sa.String(80))
    connection.execute(
        sa.update(Contact).where(Contact.id == v.c.contact_id).values(wa_id=v.c.wa_id)
    )
    _add_identities(
        connection,
        [
            (IdentityKind.PHONE, match_key(wa_id), contact_id)
            for contact_id, wa_id in wa_ids.items()
        ],
    )


def record_bsuids(connection: sa.Connection, bsuids: Mapping[str, str]) -> None:
    """Save business-scoped user ids from statuses (wa_id → BSUID) for contacts known by the phone.

    A contact who later hides the phone behind a username is then recognized by the BSUID.
    """
    keys = {match_key(wa_id): bsuid for wa_id, bsuid in bsuids.items()}
    v = json_rows(connection, list(keys.items()), phone=sa.String(160), bsuid=sa.String(160))
    other = aliased(ContactIdentity)
    known = sa.exists().where(other.kind == IdentityKind.BSUID, other.value == v.c.bsuid)
    owners = connection.execute(
        sa.select(ContactIdentity.contact_id, v.c.bsuid)
        .join(v, ContactIdentity.value == v.c.phone)
        .where(
            ContactIdentity.kind == IdentityKind.PHONE,
            ContactIdentity.released_at.is_(None),
            ~known,
        )
    ).all()
    if not owners:
        return
    invalidate_with(connection, *(contact_cache_tag(contact_id) for contact_id, _ in owners))
    _add_identities(connection, [(IdentityKind.BSUID, bsuid, i) for i, bsuid in owners])
    suppress_contacts(connection, [contact_id for contact_id, _ in owners])
    new = json_rows(
        connection, [tuple(row) for row in owners], contact_id=sa.BigInteger(), bsuid=sa.String(160)
    )
    connection.execute(
        sa.update(Contact)
        .where(Contact.id == new.c.contact_id, Contact.bsuid.is_(None))
        .values(bsuid=new.c.bsuid)
    )


def _add_identities(connection: sa.Connection, rows: Sequence[tuple[str, str, int]]) -> None:
    """Insert identities that no contact has; only an inbound message may move or merge one."""
    connection.execute(
        upsert(connection, ContactIdentity)
        .values([{"kind": kind, "value": value, "contact_id": i} for kind, value, i in rows])
        .on_conflict_do_nothing()
    )
