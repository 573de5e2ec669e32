"""A contact's profile: who it is, what is open, what was agreed to; in one cached value."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

import sqlalchemy as sa

from chatbot.billing.service import OpenInvoice, list_open_invoices
from chatbot.contacts import queries
from chatbot.contacts.models import Contact, topic_of
from chatbot.conversations.models import Conversation
from chatbot.core.cache import Entry, Kind, get_or_compute
from chatbot.core.db import db
from chatbot.core.documents import mask_document
from chatbot.core.errors import NotFound


@dataclass(frozen=True, slots=True)
class Identity:
    kind: str
    value: str


@dataclass(frozen=True, slots=True)
class Consent:
    kind: str
    source: str
    evidence: str
    happened_at: datetime


@dataclass(frozen=True, slots=True)
class Thread:
    id: int
    state: str
    last_message_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """`document` is masked: the whole one stands in no cache. `is_composed`: of several contacts that
    proved to be one person."""

    id: int
    name: str
    phone: str | None
    wa_id: str | None
    address: str | None
    email: str | None
    document: str | None
    attributes: dict[str, Any]
    opted_out_at: datetime | None
    username: str | None
    unreachable_at: datetime | None
    cooling_until: datetime | None
    created_at: datetime
    tags: list[str]
    identities: list[Identity]
    consent: list[Consent]
    invoices: list[OpenInvoice]
    conversations: list[Thread]
    is_composed: bool


PROFILE: Kind[Profile | None] = Kind("contact", Profile | None, fresh_s=300, stale_s=60)


def get_profile(contact_id: int) -> Profile:
    """The person, also by the id of a contact that was merged into them. Raises NotFound."""
    found = get_or_compute(
        Entry(
            PROFILE,
            contact_id,
            partial(find_profile, contact_id),
            (topic_of(contact_id),),
            # What changes about the parts of a person names their own ids, not his.
            keep=lambda profile: profile is not None and not profile.is_composed,
        )
    )
    if found is None:
        raise NotFound("This contact does not exist.")
    return found


def find_profile(contact_id: int) -> Profile | None:
    try:
        contact = queries.get_contact(contact_id)
    except NotFound:
        return None
    merged = list(
        db.session.scalars(sa.select(Contact.id).where(Contact.merged_into_id == contact.id))
    )
    return Profile(
        id=contact.id,
        name=contact.name,
        phone=contact.phone,
        wa_id=contact.wa_id,
        address=contact.address,
        email=contact.email,
        document=mask_document(contact.document) if contact.document else None,
        attributes=contact.attributes,
        opted_out_at=contact.opted_out_at,
        username=contact.username,
        unreachable_at=contact.unreachable_at,
        cooling_until=contact.cooling_until,
        created_at=contact.created_at,
        tags=queries.tags_of([contact.id])[contact.id],
        identities=[Identity(i.kind, i.value) for i in queries.list_identities(contact.id)],
        consent=[
            Consent(event.kind, event.source, event.evidence, event.happened_at)
            for event in queries.list_consent(contact.id)
        ],
        invoices=list_open_invoices(contact.id),
        conversations=_conversations([contact.id, *merged]),
        is_composed=bool(merged) or contact.id != contact_id,
    )


def _conversations(contact_ids: list[int]) -> list[Thread]:
    rows = db.session.execute(
        sa.select(Conversation.id, Conversation.state, Conversation.last_message_at)
        .where(Conversation.contact_id.in_(contact_ids))
        .order_by(Conversation.last_message_at.desc())
    )
    return [Thread(*row) for row in rows]
