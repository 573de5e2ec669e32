"""Import a batch through a temporary table, in a constant number of statements."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa

from chatbot.contacts.imports.csv_reader import ContactRow
from chatbot.contacts.models import (
    MAX_SEARCH_NAME,
    ConsentEvent,
    Contact,
    ContactIdentity,
    ContactTag,
    IdentityKind,
    Suppression,
)
from chatbot.contacts.suppression import compute_digest
from chatbot.core.db import Json, UtcDateTime, is_postgresql, upsert
from chatbot.core.db.bulk_sql import json_rows
from chatbot.core.db.error_text import hide_values
from chatbot.core.text import fold

# Not in the models' metadata: each transaction creates and drops it.
STAGING_TABLE = sa.Table(
    "incoming_contacts",
    sa.MetaData(),
    sa.Column("line", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("key", sa.String(160), unique=True),  # Phone.match_key
    sa.Column("digest", sa.String(64)),
    sa.Column("phone", sa.String(20), unique=True),
    sa.Column("name", sa.String(200)),
    sa.Column("search_name", sa.String(MAX_SEARCH_NAME)),
    sa.Column("document", sa.String(14)),
    sa.Column("email", sa.String(254)),
    sa.Column("attributes", Json),
    sa.Column("tags", Json),
    sa.Column("is_new", sa.Boolean),
    sa.Column("contact_id", sa.BigInteger),
    sa.Column("agreed", sa.Boolean),
    sa.Column("refused", sa.Boolean),
    prefixes=["TEMPORARY"],
)
_INPUT_COLUMNS = [c.name for c in STAGING_TABLE.columns if c.name not in ("is_new", "contact_id")]
staged = STAGING_TABLE.c


def create_staging_table(connection: sa.Connection, rows: Sequence[ContactRow]) -> None:
    """Create and fill the table, with one row per phone; drop it in the same transaction."""
    STAGING_TABLE.create(connection)
    values = [_build_values(row) for row in rows]
    if is_postgresql(connection):
        _copy_rows(connection, values)
    else:
        connection.execute(
            sa.insert(STAGING_TABLE),
            [dict(zip(_INPUT_COLUMNS, row, strict=True)) for row in values],
        )


def drop_staging_table(connection: sa.Connection) -> None:
    STAGING_TABLE.drop(connection)


def _build_values(row: ContactRow) -> tuple[Any, ...]:
    key = row.phone.match_key
    person = (row.phone.e164, row.name, fold(row.name, MAX_SEARCH_NAME), row.document, row.email)
    return (
        row.line,
        key,
        compute_digest(IdentityKind.PHONE, key),
        *person,
        row.attributes,
        list(row.tags),
        row.opt_in and not row.opt_out,
        row.opt_out,
    )


def _copy_rows(connection: sa.Connection, values: Sequence[tuple[Any, ...]]) -> None:
    """Insert by COPY, PostgreSQL's fastest way, which SQLAlchemy does not offer."""
    statement = f"COPY {STAGING_TABLE.name} ({', '.join(_INPUT_COLUMNS)}) FROM STDIN"
    cursor: Any = connection.connection.cursor()
    try:
        with cursor, cursor.copy(statement) as copy:
            for *plain, attributes, tags, agreed, refused in values:
                json = (_encode_json(attributes), _encode_json(tags))
                copy.write_row((*plain, *json, agreed, refused))
    except connection.dialect.loaded_dbapi.Error as error:
        hide_values(error)  # SQLAlchemy's listeners don't see it
        raise


def _encode_json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def match_known_contacts(connection: sa.Connection) -> None:
    """Set `contact_id` and `is_new` by the phones of existing contacts."""
    owner = (
        sa.select(ContactIdentity.contact_id)
        .where(
            ContactIdentity.kind == IdentityKind.PHONE,
            ContactIdentity.value == staged.key,
            ContactIdentity.released_at.is_(None),
        )
        .scalar_subquery()
    )
    connection.execute(sa.update(STAGING_TABLE).values(contact_id=owner, is_new=owner.is_(None)))


def insert_new_contacts(connection: sa.Connection, now: datetime) -> int:
    """Insert unknown contacts and their identities; return their number.

    A stored opt-out, from before the contact was erased, is restored.
    """
    names = ("phone", "name", "search_name", "document", "email", "attributes")
    rows = (
        sa.select(*(staged[name] for name in names), _timestamp_literal(now), Suppression.since)
        .select_from(STAGING_TABLE)
        .outerjoin(Suppression, Suppression.digest == staged.digest)
        .where(staged.is_new)
        .order_by(staged.line)
    )
    created = connection.execute(
        sa.insert(Contact)
        .from_select([*names, "created_at", "opted_out_at"], rows, include_defaults=False)
        .returning(Contact.id, Contact.phone)
    ).all()
    if created:
        _set_contact_ids(connection, [(contact_id, phone or "") for contact_id, phone in created])
        _insert_identities(connection)
        _insert_suppressed_opt_outs(connection)
    return len(created)


def _timestamp_literal(now: datetime) -> sa.ColumnElement[datetime]:
    return sa.literal(now, UtcDateTime())


def _set_contact_ids(connection: sa.Connection, created: Sequence[tuple[int, str]]) -> None:
    v = json_rows(connection, created, contact_id=sa.BigInteger(), phone=sa.String(20))
    connection.execute(
        sa.update(STAGING_TABLE)
        .where(staged.phone == v.c.phone, staged.is_new)
        .values(contact_id=v.c.contact_id)
    )


def _insert_identities(connection: sa.Connection) -> None:
    """Insert the new phones, replacing ones that other contacts released."""
    new = sa.select(staged.key).where(staged.is_new)
    connection.execute(
        sa.delete(ContactIdentity).where(
            ContactIdentity.kind == IdentityKind.PHONE, ContactIdentity.value.in_(new)
        )
    )
    rows = sa.select(sa.literal(IdentityKind.PHONE.value), staged.key, staged.contact_id).where(
        staged.is_new
    )
    connection.execute(
        sa.insert(ContactIdentity).from_select(
            ["kind", "value", "contact_id"], rows, include_defaults=False
        )
    )


def _insert_suppressed_opt_outs(connection: sa.Connection) -> None:
    events = (
        sa.select(
            staged.contact_id,
            sa.literal("opt_out"),
            sa.literal("suppression"),
            sa.literal(""),
            Suppression.since,
        )
        .join(Suppression, Suppression.digest == staged.digest)
        .where(staged.is_new)
    )
    _insert_consent_events(connection, events)


def update_known_contacts(connection: sa.Connection) -> None:
    """Update known contacts with the file's values; empty cells change nothing.

    If two lines have two phones of one contact, one of them is applied.
    """
    merged = (
        Contact.attributes.op("||")(staged.attributes)
        if is_postgresql(connection)
        else sa.func.json_patch(Contact.attributes, staged.attributes)
    )
    connection.execute(
        sa.update(Contact)
        .where(Contact.id == staged.contact_id, sa.not_(staged.is_new))
        .values(
            phone=staged.phone,
            name=sa.func.coalesce(sa.func.nullif(staged.name, ""), Contact.name),
            search_name=sa.func.coalesce(
                sa.func.nullif(staged.search_name, ""), Contact.search_name
            ),
            document=sa.func.coalesce(staged.document, Contact.document),
            email=sa.func.coalesce(staged.email, Contact.email),
            attributes=merged,
        )
        .execution_options(synchronize_session=False)
    )


def insert_tags(connection: sa.Connection) -> None:
    listed = sa.func.jsonb_array_elements_text if is_postgresql(connection) else sa.func.json_each
    tags = listed(staged.tags).table_valued("value")
    rows = (
        sa.select(staged.contact_id, tags.c.value)
        .select_from(STAGING_TABLE.join(tags, sa.true()))
        .where(staged.contact_id.is_not(None))  # SQLite requires a WHERE before ON CONFLICT
        .distinct()
    )
    connection.execute(
        upsert(connection, ContactTag)
        .from_select(["contact_id", "name"], rows, include_defaults=False)
        .on_conflict_do_nothing()
    )


def insert_opt_ins(connection: sa.Connection, file: str, now: datetime) -> int:
    """Record opt-ins with the file's line as evidence; return their number.

    The file has no time of consent, so contacts who opted out themselves stay opted out.
    """
    evidence = sa.literal(f"{file}:") + sa.cast(staged.line, sa.String)
    # A subquery, because PostgreSQL has no statistics of the new rows yet and would plan a join badly.
    opted_out_at = (
        sa.select(Contact.opted_out_at).where(Contact.id == staged.contact_id).scalar_subquery()
    )
    events = sa.select(
        staged.contact_id,
        sa.literal("opt_in"),
        sa.literal("import"),
        evidence,
        _timestamp_literal(now),
    ).where(staged.agreed, opted_out_at.is_(None))
    return _insert_consent_events(connection, events)


def _insert_consent_events(connection: sa.Connection, events: sa.Select[Any]) -> int:
    columns = ["contact_id", "kind", "source", "evidence", "happened_at"]
    statement = sa.insert(ConsentEvent).from_select(columns, events, include_defaults=False)
    return connection.execute(statement, execution_options={"preserve_rowcount": True}).rowcount


def list_refusals(connection: sa.Connection) -> list[tuple[int, int]]:
    """Return the contacts who want no campaigns, each with the file's line."""
    query = sa.select(staged.contact_id, staged.line).where(
        staged.refused, staged.contact_id.is_not(None)
    )
    return [(contact_id, line) for contact_id, line in connection.execute(query)]
