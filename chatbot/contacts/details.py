"""Edit the name, e-mail and tags of a contact; parse what users type."""

from __future__ import annotations

import re

import sqlalchemy as sa

from chatbot.contacts.imports.csv_cells import EMAIL
from chatbot.contacts.imports.csv_reader import MAX_TAG
from chatbot.contacts.models import Contact, ContactTag, contact_cache_tag
from chatbot.core.db import db
from chatbot.core.errors import InvalidInput
from chatbot.extensions import cache

MAX_TAGS = 30
MAX_EVIDENCE = 240


def parse_tags(typed: str) -> list[str]:
    """Split tags at `,`, `;` or `|`, without case-insensitive duplicates. Raises InvalidInput."""
    names = (" ".join(name.split()) for name in re.split(r"[,;|]", typed))
    by_key: dict[str, str] = {}
    for name in filter(None, names):
        by_key.setdefault(name.casefold(), name)
    unique = list(by_key.values())
    if len(unique) > MAX_TAGS:
        raise InvalidInput("Use at most %(most)s tags.", field="tags", most=MAX_TAGS)
    for name in unique:
        if len(name) > MAX_TAG:
            raise InvalidInput("A tag has at most %(most)s characters.", field="tags", most=MAX_TAG)
    return unique


def parse_email(typed: str) -> str | None:
    """Return the normalized e-mail, or None if nothing was typed. Raises InvalidInput."""
    email = typed.strip().lower()
    if email and not EMAIL.fullmatch(email):
        raise InvalidInput(
            "This is not an e-mail address: write one such as ana@empresa.com.br.", field="email"
        )
    return email or None


def parse_evidence(typed: str) -> str:
    """Return the description of how a contact agreed. Raises InvalidInput if it is empty or too long."""
    evidence = " ".join(typed.split())
    if not evidence:
        raise InvalidInput(
            "Describe how the contact agreed: where, when, in which words.", field="evidence"
        )
    if len(evidence) > MAX_EVIDENCE:
        raise InvalidInput("Use at most %(most)s characters.", field="evidence", most=MAX_EVIDENCE)
    return evidence


def update_contact(contact: Contact, *, name: str, email: str, tags: str) -> None:
    """Save name, e-mail and tags. Raises InvalidInput with the field, before any change."""
    wanted, address = parse_tags(tags), parse_email(email)
    contact.name = " ".join(name.split())[:200]
    contact.email = address
    cache.invalidate(contact_cache_tag(contact.id))
    _set_tags(contact.id, wanted)


def _set_tags(contact_id: int, wanted: list[str]) -> None:
    current = set(
        db.session.scalars(sa.select(ContactTag.name).where(ContactTag.contact_id == contact_id))
    )
    removed = current - set(wanted)
    if removed:
        db.session.execute(
            sa.delete(ContactTag).where(
                ContactTag.contact_id == contact_id, ContactTag.name.in_(removed)
            )
        )
    db.session.add_all(
        ContactTag(contact_id=contact_id, name=name) for name in wanted if name not in current
    )
