"""Who a contact is: found or made by any of the names that the outside world uses for them."""

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
    """What a webhook says about who wrote: any of it may be missing."""

    wa_id: str | None = None
    bsuid: str | None = None
    parent_bsuid: str | None = None
    username: str | None = None
    name: str | None = None

    @property
    def strong_identities(self) -> list[tuple[str, str]]:
        """What names one person and nobody else, ever: phone and user ids."""
        found = [
            (IdentityKind.PHONE, match_key(self.wa_id) if self.wa_id else None),
            (IdentityKind.BSUID, self.bsuid),
            (IdentityKind.PARENT_BSUID, self.parent_bsuid),
        ]
        return [(kind.value, value) for kind, value in found if value]

    @property
    def normalized_username(self) -> str:
        """The username as it is compared: without @ and capitals."""
        return (self.username or "").lstrip("@").lower()

    @property
    def identities(self) -> list[tuple[str, str]]:
        name = self.normalized_username
        return [*self.strong_identities, *([(IdentityKind.USERNAME.value, name)] if name else [])]


def resolve_contact(sender: SenderIdentity, at: datetime | None = None) -> Contact:
    """Find the contact by any of its identities, else make it; learn what is new; merge those that
    the payload proves to be one.

    `at` is when the sender used these names (now, if it is not given): a number that was given up
    before is somebody else's.

    Raises:
        ValueError: the sender has no identity at all.
    """
    identities = sender.identities
    if not identities:
        raise ValueError("a sender without phone, user id or username")
    at = at or clock.now()
    session = db.session
    # A username can be given up and taken by somebody else: alone it finds, beside others it proves
    # nothing, or a stranger would be merged into a customer and see his invoices.
    names = sender.strong_identities or identities
    contacts = _find_by_identities(names, at)
    if not contacts:
        # Two workers may meet a new person at once; they pass here one after the other.
        advisory_lock(session.connection(), "contacts.resolve")
        contacts = _find_by_identities(names, at)
    contact = contacts[0] if contacts else _create_contact(sender)
    for other in contacts[1:]:
        _merge(other, into=contact)
    _update_from_sender(contact, sender, at)
    return contact


def get_or_create_by_phone(phone: Phone, name: str) -> Contact:
    """The contact with this number, made with the name if nobody has it. Somebody of the company typed
    it, which proves nothing: what Meta calls them stays as it is known."""
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
    """The person known as `old` is `new` since `at`; whoever we knew as `new` is merged into them.

    A number that is left is no longer theirs: some day a stranger will write from it.
    """
    contact = resolve_contact(old, at)
    for other in _find_by_identities(new.identities, at):
        if other.id != contact.id:
            _merge(other, into=contact)
    _update_from_sender(contact, new, at)
    if new.wa_id and old.wa_id and match_key(new.wa_id) != match_key(old.wa_id):
        left = db.session.get(ContactIdentity, (IdentityKind.PHONE, match_key(old.wa_id)))
        if left is not None and left.contact_id == contact.id:
            left.released_at = at
            # What was said under it is known by the new number; whoever has it next said nothing.
            unsuppress_identities(db.session.connection(), [(left.kind, left.value)])
        if contact.phone and match_key(contact.phone) == match_key(old.wa_id):
            contact.phone = f"+{new.wa_id}"
    return contact


def _find_by_identities(identities: Sequence[tuple[str, str]], at: datetime) -> list[Contact]:
    """The contacts that carry one of them, the oldest first."""
    pairs = [
        sa.and_(ContactIdentity.kind == kind, ContactIdentity.value == value)
        for kind, value in identities
    ]
    theirs = sa.or_(ContactIdentity.released_at.is_(None), ContactIdentity.released_at >= at)
    ids = sa.select(ContactIdentity.contact_id).where(sa.or_(*pairs), theirs)
    query = sa.select(Contact).where(Contact.id.in_(ids)).order_by(Contact.id)
    return list(db.session.scalars(query))


def _create_contact(sender: SenderIdentity) -> Contact:
    contact = Contact(name=(sender.name or "")[:200], wa_id=sender.wa_id)
    db.session.add(contact)
    db.session.flush()
    return contact


def _update_from_sender(contact: Contact, sender: SenderIdentity, at: datetime) -> None:
    """What Meta calls them is what we send to; a name that somebody gave is kept."""
    left, new = _assign_identities(contact, sender.identities, at)
    if new:
        _apply_suppression(contact, new)
    if sender.wa_id and not left and contact.wa_id != sender.wa_id:
        contact.wa_id = sender.wa_id
    if sender.bsuid:
        contact.bsuid = sender.bsuid
    if sender.normalized_username:
        contact.username = sender.normalized_username
    if sender.name and not contact.name:
        contact.name = sender.name[:200]
    if contact.unreachable_at is not None:
        contact.unreachable_at = None  # who writes can be written to


def _assign_identities(
    contact: Contact, identities: Sequence[tuple[str, str]], at: datetime
) -> tuple[bool, list[tuple[str, str]]]:
    """Make them the contact's. Whether its number was left by the contact after `at`, and which of
    them nobody had before."""
    left = False
    new = []
    for kind, value in identities:
        identity = db.session.get(ContactIdentity, (kind, value))
        if identity is None:
            new.append((kind, value))
            db.session.add(ContactIdentity(kind=kind, value=value, contact_id=contact.id))
        elif identity.released_at is not None and identity.released_at >= at:
            left = True
        else:
            identity.contact_id = contact.id
            identity.released_at = None
    return left, new


def _apply_suppression(contact: Contact, new: Sequence[tuple[str, str]]) -> None:
    """Who opted out stays so under each of their names, also when the contact who did was erased."""
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
    """A pointer and moved identities; what lies to the right needs no call."""
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
    """Record that this person wants no more campaigns. Harmless when they said so before."""
    if contact.opted_out_at is None:
        contact.opted_out_at = at or clock.now()
        _record_consent(contact, "opt_out", source, evidence, at)
        _suppress_contact(contact)


def opt_in(contact: Contact, source: str, evidence: str = "", at: datetime | None = None) -> None:
    """Record that this person agrees to campaigns, each time they do: the company must be able to show
    it (LGPD, article 8, paragraph 2). What is told twice, with its moment, is recorded once."""
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
    """Whether a later word of this person's is known: an older one that comes late changes nothing."""
    later = sa.exists().where(
        ConsentEvent.contact_id == contact.id, ConsentEvent.happened_at > at, is_dated_consent()
    )
    return bool(db.session.scalar(sa.select(later)))
