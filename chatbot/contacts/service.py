"""Resolve contacts by their identities, merge duplicates, and record opt-outs and opt-ins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from chatbot.brazil.phone import Phone, match_key
from chatbot.contacts.models import (
    ConsentEvent,
    Contact,
    ContactIdentity,
    ContactTag,
    IdentityKind,
    is_dated_consent,
)
from chatbot.contacts.suppression import (
    find_suppressed_since,
    suppress_contacts,
    unsuppress_contact,
    unsuppress_identities,
)
from chatbot.core import clock
from chatbot.core.db import advisory_lock, db


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderIdentity:
    """Identity of a sender as a webhook gives it; any field may be missing."""

    wa_id: str | None = None
    bsuid: str | None = None
    parent_bsuid: str | None = None
    username: str | None = None
    name: str | None = None

    @property
    def strong_identities(self) -> list[tuple[str, str]]:
        """Phone and user ids, each of which identifies one person."""
        found = [
            (IdentityKind.PHONE, match_key(self.wa_id) if self.wa_id else None),
            (IdentityKind.BSUID, self.bsuid),
            (IdentityKind.PARENT_BSUID, self.parent_bsuid),
        ]
        return [(kind.value, value) for kind, value in found if value]

    @property
    def normalized_username(self) -> str:
        """Username for comparison: without @, in lower case."""
        return (self.username or "").lstrip("@").lower()

    @property
    def identities(self) -> list[tuple[str, str]]:
        name = self.normalized_username
        return [*self.strong_identities, *([(IdentityKind.USERNAME.value, name)] if name else [])]


def resolve_contact(sender: SenderIdentity, at: datetime | None = None) -> Contact:
    """Find the contact by its identities or create it; save new ones and merge duplicates.

    Contacts that share the payload's phone or user ids are one person and are merged. `at` is when
    the sender used these identities (default: now); identities released before `at` don't match.

    Raises:
        ValueError: the sender has no identity at all.
    """
    identities = sender.identities
    if not identities:
        raise ValueError("a sender without phone, user id or username")
    at = at or clock.now()
    session = db.session
    # A username can pass to another person, so it is used only if nothing else is known. Merging by
    # it could show a stranger the invoices of a customer.
    keys = sender.strong_identities or identities
    contacts = _find_by_identities(keys, at)
    if not contacts:
        # Two workers may create the same contact at once: look again under a lock.
        advisory_lock(session.connection(), "contacts.resolve")
        contacts = _find_by_identities(keys, at)
    contact = contacts[0] if contacts else _create_contact(sender)
    for other in contacts[1:]:
        _merge(other, into=contact)
    _update_from_sender(contact, sender, at)
    return contact


def get_or_create_by_phone(phone: Phone, name: str) -> Contact:
    """Return the contact with this phone, or create it with the name.

    The phone was typed by a user of the panel, so an existing contact keeps its wa_id and name.
    """
    number = (IdentityKind.PHONE.value, phone.match_key)
    contacts = _find_by_identities([number], clock.now())
    if not contacts:
        advisory_lock(db.session.connection(), "contacts.resolve")
        contacts = _find_by_identities([number], clock.now())
    if contacts:
        return contacts[0]
    contact = Contact(name=name[:200], phone=phone.e164)
    db.session.add(contact)
    db.session.flush()
    _assign_identities(contact, [number], clock.now())
    _apply_suppression(contact, [number])
    return contact


def change_identity(old: SenderIdentity, new: SenderIdentity, at: datetime) -> Contact:
    """Record that the person `old` uses the identity `new` since `at`, and merge contacts with it.

    The old number is released, because another person may get it.
    """
    contact = resolve_contact(old, at)
    for other in _find_by_identities(new.identities, at):
        if other.id != contact.id:
            _merge(other, into=contact)
    _update_from_sender(contact, new, at)
    if new.wa_id and old.wa_id and match_key(new.wa_id) != match_key(old.wa_id):
        released = db.session.get(ContactIdentity, (IdentityKind.PHONE, match_key(old.wa_id)))
        if released is not None and released.contact_id == contact.id:
            released.released_at = at
            # The opt-out is kept under the new number; it must not apply to the next owner of the old.
            unsuppress_identities(db.session.connection(), [(released.kind, released.value)])
        if contact.phone and match_key(contact.phone) == match_key(old.wa_id):
            contact.phone = f"+{new.wa_id}"
    return contact


def _find_by_identities(identities: Sequence[tuple[str, str]], at: datetime) -> list[Contact]:
    """Return the contacts that have one of the identities, oldest first."""
    pairs = [
        sa.and_(ContactIdentity.kind == kind, ContactIdentity.value == value)
        for kind, value in identities
    ]
    is_current = sa.or_(ContactIdentity.released_at.is_(None), ContactIdentity.released_at >= at)
    ids = sa.select(ContactIdentity.contact_id).where(sa.or_(*pairs), is_current)
    query = sa.select(Contact).where(Contact.id.in_(ids)).order_by(Contact.id)
    return list(db.session.scalars(query))


def _create_contact(sender: SenderIdentity) -> Contact:
    contact = Contact(name=(sender.name or "")[:200], wa_id=sender.wa_id)
    db.session.add(contact)
    db.session.flush()
    return contact


def _update_from_sender(contact: Contact, sender: SenderIdentity, at: datetime) -> None:
    """Save the sender's ids, and their profile name if the contact has no name."""
    is_released, new = _assign_identities(contact, sender.identities, at)
    if new:
        _apply_suppression(contact, new)
    if sender.wa_id and not is_released and contact.wa_id != sender.wa_id:
        contact.wa_id = sender.wa_id
    if sender.bsuid:
        contact.bsuid = sender.bsuid
    if sender.normalized_username:
        contact.username = sender.normalized_username
    if sender.name and not contact.name:
        contact.name = sender.name[:200]
    if contact.unreachable_at is not None:
        contact.unreachable_at = None  # a message from them proves that they can be reached


def _assign_identities(
    contact: Contact, identities: Sequence[tuple[str, str]], at: datetime
) -> tuple[bool, list[tuple[str, str]]]:
    """Assign the identities to the contact.

    Returns whether one of them was released after `at`, and the identities that are new.
    """
    is_released = False
    new = []
    for kind, value in identities:
        identity = db.session.get(ContactIdentity, (kind, value))
        if identity is None:
            new.append((kind, value))
            db.session.add(ContactIdentity(kind=kind, value=value, contact_id=contact.id))
        elif identity.released_at is not None and identity.released_at >= at:
            is_released = True
        else:
            identity.contact_id = contact.id
            identity.released_at = None
    return is_released, new


def _apply_suppression(contact: Contact, new: Sequence[tuple[str, str]]) -> None:
    """Restore an opt-out stored for a new identity, and store one for the new identities."""
    session = db.session
    since = find_suppressed_since(session.connection(), new)
    if since is not None and contact.opted_out_at is None and not has_decided_since(contact, since):
        contact.opted_out_at = since
        _record_consent(contact, "opt_out", "suppression", "", since)
    if contact.opted_out_at is not None:
        _suppress_contact(contact)


def _suppress_contact(contact: Contact) -> None:
    db.session.flush()
    suppress_contacts(db.session.connection(), [contact.id])


def _merge(other: Contact, *, into: Contact) -> None:
    """Merge `other` into `into`; later features follow `merged_into_id` and need no call."""
    other.merged_into_id = into.id
    db.session.execute(
        sa.update(Contact)
        .where(Contact.merged_into_id == other.id)
        .values(merged_into_id=into.id)
        .execution_options(synchronize_session=False)
    )
    db.session.execute(
        sa.update(ContactIdentity)
        .where(ContactIdentity.contact_id == other.id)
        .values(contact_id=into.id)
        .execution_options(synchronize_session="fetch")
    )
    into.wa_id = into.wa_id or other.wa_id
    into.name = into.name or other.name
    into.document = into.document or other.document
    into.email = into.email or other.email
    into.phone = into.phone or other.phone
    into.attributes = {**other.attributes, **into.attributes}
    into.bsuid = into.bsuid or other.bsuid
    into.username = into.username or other.username
    into.opted_out_at = into.opted_out_at or other.opted_out_at
    if into.opted_out_at is not None:
        _suppress_contact(into)
    present = set(
        db.session.scalars(sa.select(ContactTag.name).where(ContactTag.contact_id == into.id))
    )
    for name in db.session.scalars(
        sa.select(ContactTag.name).where(ContactTag.contact_id == other.id)
    ):
        if name not in present:
            db.session.add(ContactTag(contact_id=into.id, name=name))


def opt_out(contact: Contact, source: str, evidence: str = "", at: datetime | None = None) -> None:
    """Record that this person wants no campaigns; do nothing if that is recorded already."""
    if contact.opted_out_at is None:
        contact.opted_out_at = at or clock.now()
        _record_consent(contact, "opt_out", source, evidence, at)
        _suppress_contact(contact)


def opt_in(contact: Contact, source: str, evidence: str = "", at: datetime | None = None) -> None:
    """Record that this person agrees to campaigns.

    Each consent is kept, because the company must be able to prove it (LGPD, article 8, paragraph 2).
    One with the same source and `at` is recorded once.
    """
    if at is not None and _is_consent_recorded(contact, "opt_in", source, at):
        return
    contact.opted_out_at = None
    _record_consent(contact, "opt_in", source, evidence, at)
    unsuppress_contact(db.session.connection(), contact.id)


def _is_consent_recorded(contact: Contact, kind: str, source: str, at: datetime) -> bool:
    same = sa.exists().where(
        ConsentEvent.contact_id == contact.id,
        ConsentEvent.kind == kind,
        ConsentEvent.source == source,
        ConsentEvent.happened_at == at,
    )
    return bool(db.session.scalar(sa.select(same)))


def _record_consent(
    contact: Contact, kind: str, source: str, evidence: str, at: datetime | None
) -> None:
    db.session.add(
        ConsentEvent(
            contact_id=contact.id,
            kind=kind,
            source=source,
            evidence=evidence[:500],
            happened_at=at or clock.now(),
        )
    )


def has_decided_since(contact: Contact, at: datetime) -> bool:
    """Return whether a decision of this person later than `at` is recorded."""
    later = sa.exists().where(
        ConsentEvent.contact_id == contact.id, ConsentEvent.happened_at > at, is_dated_consent()
    )
    return bool(db.session.scalar(sa.select(later)))
