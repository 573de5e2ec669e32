"""Profile of a contact: identities, invoices, consent and conversations, as one cached value."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

import sqlalchemy as sa

from chatbot.billing.service import OpenInvoice, list_open_invoices
from chatbot.brazil.documents import mask_document
from chatbot.contacts import queries
from chatbot.contacts.models import Contact, contact_cache_tag
from chatbot.conversations.models import Conversation
from chatbot.core.cache import CacheEntry, CacheSpec
from chatbot.core.db import db
from chatbot.core.errors import NotFound
from chatbot.extensions import cache


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
class ConversationSummary:
    id: int
    state: str
    last_message_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactProfile:
    """Data of a contact's page. `document` is masked, because the full one must not be in the cache.

    `is_merged` says that other contacts were merged into this one, or this one was asked for by their id.
    """

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
    marketing_paused_until: datetime | None
    created_at: datetime
    tags: list[str]
    identities: list[Identity]
    consent: list[Consent]
    invoices: list[OpenInvoice]
    conversations: list[ConversationSummary]
    is_merged: bool


PROFILE_CACHE: CacheSpec[ContactProfile | None] = CacheSpec(
    "contact", ContactProfile | None, fresh_s=300, stale_s=60
)


def get_profile(contact_id: int) -> ContactProfile:
    """Return the profile of a contact, also by the id of one merged into it. Raises NotFound."""
    found = cache.get_or_compute(
        CacheEntry(
            PROFILE_CACHE,
            contact_id,
            partial(find_profile, contact_id),
            (contact_cache_tag(contact_id),),
            # Changes of merged contacts invalidate the tags of their own ids, not this one.
            should_store=lambda profile: profile is not None and not profile.is_merged,
        )
    )
    if found is None:
        raise NotFound("This contact does not exist.")
    return found


def find_profile(contact_id: int) -> ContactProfile | None:
    try:
        contact = queries.get_contact(contact_id)
    except NotFound:
        return None
    merged = list(
        db.session.scalars(sa.select(Contact.id).where(Contact.merged_into_id == contact.id))
    )
    return ContactProfile(
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
        marketing_paused_until=contact.marketing_paused_until,
        created_at=contact.created_at,
        tags=queries.list_tags_by_contact([contact.id])[contact.id],
        identities=[Identity(i.kind, i.value) for i in queries.list_identities(contact.id)],
        consent=[
            Consent(event.kind, event.source, event.evidence, event.happened_at)
            for event in queries.list_consent_events(contact.id)
        ],
        invoices=list_open_invoices(contact.id),
        conversations=_list_conversations([contact.id, *merged]),
        is_merged=bool(merged) or contact.id != contact_id,
    )


def _list_conversations(contact_ids: list[int]) -> list[ConversationSummary]:
    rows = db.session.execute(
        sa.select(Conversation.id, Conversation.state, Conversation.last_message_at)
        .where(Conversation.contact_id.in_(contact_ids))
        .order_by(Conversation.last_message_at.desc())
    )
    return [ConversationSummary(*row) for row in rows]
