"""Queries for lists, profiles and exports of contacts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from chatbot.contacts.models import ConsentEvent, Contact, ContactIdentity, ContactTag
from chatbot.contacts.search import search_condition
from chatbot.core.db import db, is_postgresql
from chatbot.core.errors import NotFound
from chatbot.core.pagination import Page, build_page, decode_cursor, parse_row_id, rows_after

PAGE_SIZE = 50
EXPORT_PAGE_SIZE = 1000
MAX_FILTER_TAGS = 200  # tags offered as a filter
MAX_MERGES = 10

ORDER = (Contact.search_name, Contact.id)


def list_contacts(typed: str = "", tag: str = "", after: str | None = None) -> Page[Contact]:
    """Return a page ordered by name. Raises InvalidInput for a broken cursor."""
    query = build_list_query(typed, tag, after).limit(PAGE_SIZE + 1)
    return build_page(db.session.scalars(query).all(), PAGE_SIZE, lambda c: (c.search_name, c.id))


def build_list_query(typed: str, tag: str, after: str | None) -> sa.Select[Any]:
    query = sa.select(Contact).where(Contact.merged_into_id.is_(None)).order_by(*ORDER)
    wanted = search_condition(typed)
    if wanted is not None:
        query = query.where(wanted)
    if tag:
        query = query.where(
            Contact.id.in_(sa.select(ContactTag.contact_id).where(ContactTag.name == tag))
        )
    last = decode_cursor(after, str, parse_row_id)
    return query if last is None else query.where(rows_after(ORDER, last))


def list_tags_by_contact(contact_ids: Sequence[int]) -> dict[int, list[str]]:
    rows = db.session.execute(
        sa.select(ContactTag.contact_id, ContactTag.name)
        .where(ContactTag.contact_id.in_(contact_ids))
        .order_by(ContactTag.name)
    )
    tags: dict[int, list[str]] = defaultdict(list)
    for contact_id, name in rows:
        tags[contact_id].append(name)
    return tags


def list_tags() -> list[str]:
    query = sa.select(ContactTag.name).distinct().order_by(ContactTag.name).limit(MAX_FILTER_TAGS)
    return list(db.session.scalars(query))


def get_contact(contact_id: int) -> Contact:
    """Return the contact, or the one that it was merged into. Raises NotFound."""
    found = db.session.get(Contact, contact_id)
    for _ in range(MAX_MERGES):
        if found is None or found.merged_into_id is None:
            break
        found = db.session.get(Contact, found.merged_into_id)
    if found is None:
        raise NotFound("This contact does not exist.")
    return found


def list_identities(contact_id: int) -> list[ContactIdentity]:
    query = sa.select(ContactIdentity).where(ContactIdentity.contact_id == contact_id)
    return list(db.session.scalars(query.order_by(ContactIdentity.kind, ContactIdentity.value)))


def list_consent_events(contact_id: int, limit: int = 50) -> list[ConsentEvent]:
    """Return consent events of the contact and those merged into it, newest first."""
    merged = sa.select(Contact.id).where(Contact.merged_into_id == contact_id)
    query = sa.select(ConsentEvent).where(
        sa.or_(ConsentEvent.contact_id == contact_id, ConsentEvent.contact_id.in_(merged))
    )
    return list(db.session.scalars(query.order_by(ConsentEvent.id.desc()).limit(limit)))


@dataclass(frozen=True, slots=True)
class ExportPage:
    """Some contacts with their tags, and the ids of those who agreed to campaigns once."""

    contacts: list[Contact]
    tags: dict[int, list[str]]
    opted_in: set[int]


def iterate_contact_pages(typed: str, tag: str) -> Iterator[ExportPage]:
    """Yield all contacts of a list; no transaction stays open between pages."""
    after: str | None = None
    while True:
        rows = db.session.scalars(
            build_list_query(typed, tag, after).limit(EXPORT_PAGE_SIZE + 1)
        ).all()
        page = build_page(rows, EXPORT_PAGE_SIZE, lambda c: (c.search_name, c.id))
        ids = [contact.id for contact in page.rows]
        found = ExportPage(page.rows, list_tags_by_contact(ids), _find_opted_in(ids))
        db.session.expunge_all()
        db.session.rollback()
        yield found
        if page.after is None:
            return
        after = page.after


def _find_opted_in(contact_ids: Sequence[int]) -> set[int]:
    query = sa.select(ConsentEvent.contact_id).where(
        ConsentEvent.contact_id.in_(contact_ids), ConsentEvent.kind == "opt_in"
    )
    return set(db.session.scalars(query))


def list_attribute_names() -> list[str]:
    """Return the names of all attributes that contacts have."""
    connection = db.session.connection()
    listed = sa.func.jsonb_each if is_postgresql(connection) else sa.func.json_each
    names = listed(Contact.attributes).table_valued("key")
    query = sa.select(sa.column("key", sa.String)).select_from(
        Contact.__table__.join(names, sa.true())
    )
    return sorted(connection.scalars(query.distinct()))
