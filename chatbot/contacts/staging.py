"""One batch of an import in a temporary table, from where it goes into contacts set by set: the number of
statements depends neither on how many rows there are nor on how many of them are new."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa

from chatbot.contacts.csv_reader import Row
from chatbot.contacts.models import (
    ConsentEvent,
    Contact,
    ContactIdentity,
    ContactTag,
    IdentityKind,
    Suppression,
)
from chatbot.contacts.suppression import digest_of
from chatbot.core.db import Json, UtcDateTime, is_postgresql, upsert
from chatbot.core.rows import json_rows
from chatbot.core.text import fold

# Not among the models' tables: it is made in each transaction anew and ends with it.
INCOMING = sa.Table(
    "incoming_contacts",
    sa.MetaData(),
    sa.Column("line", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("key", sa.String(160), unique=True),  # the phone as core.phone.match_key
    sa.Column("digest", sa.String(64)),
    sa.Column("phone", sa.String(20), unique=True),
    sa.Column("name", sa.String(200)),
    sa.Column("search_name", sa.String(400)),
    sa.Column("document", sa.String(14)),
    sa.Column("email", sa.String(254)),
    sa.Column("attributes", Json),
    sa.Column("tags", Json),
    sa.Column("is_new", sa.Boolean),
    sa.Column("contact_id", sa.BigInteger),
    sa.Column("agreed", sa.Boolean),
    prefixes=["TEMPORARY"],
)
_GIVEN = [c.name for c in INCOMING.columns if c.name not in ("is_new", "contact_id")]
t = INCOMING.c


def stage(connection: sa.Connection, rows: Sequence[Row]) -> None:
    """Make the table and fill it; `drop` it in the same transaction. One row a person."""
    INCOMING.create(connection)
    values = [_values(row) for row in rows]
    if is_postgresql(connection):
        _copy(connection, values)
    else:
        connection.execute(
            sa.insert(INCOMING), [dict(zip(_GIVEN, row, strict=True)) for row in values]
        )


def drop(connection: sa.Connection) -> None:
    INCOMING.drop(connection)


def _values(row: Row) -> tuple[Any, ...]:
    key = row.phone.match_key
    person = (row.phone.e164, row.name, fold(row.name), row.document, row.email)
    return (
        row.line,
        key,
        digest_of(IdentityKind.PHONE, key),
        *person,
        row.attributes,
        list(row.tags),
        row.opt_in,
    )


def _copy(connection: sa.Connection, values: Sequence[tuple[Any, ...]]) -> None:
    """COPY is how PostgreSQL takes many rows fastest; SQLAlchemy has no word for it."""
    statement = f"COPY {INCOMING.name} ({', '.join(_GIVEN)}) FROM STDIN"
    cursor: Any = connection.connection.cursor()
    with cursor, cursor.copy(statement) as copy:
        for *plain, attributes, tags, agreed in values:
            copy.write_row((*plain, _json(attributes), _json(tags), agreed))


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def match(connection: sa.Connection) -> None:
    """Whom we know already, by their phone."""
    owner = (
        sa.select(ContactIdentity.contact_id)
        .where(
            ContactIdentity.kind == IdentityKind.PHONE,
            ContactIdentity.value == t.key,
            ContactIdentity.given_up_at.is_(None),
        )
        .scalar_subquery()
    )
    connection.execute(sa.update(INCOMING).values(contact_id=owner, is_new=owner.is_(None)))


def add_new(connection: sa.Connection, now: datetime) -> int:
    """Contacts for whom we don't know, and their identities; returns how many. Who said no before the
    contact was erased is made opted out."""
    names = ("phone", "name", "search_name", "document", "email", "attributes")
    rows = (
        sa.select(*(t[name] for name in names), _moment(now), Suppression.since)
        .select_from(INCOMING)
        .outerjoin(Suppression, Suppression.digest == t.digest)
        .where(t.is_new)
        .order_by(t.line)
    )
    made = connection.execute(
        sa.insert(Contact)
        .from_select([*names, "created_at", "opted_out_at"], rows, include_defaults=False)
        .returning(Contact.id, Contact.phone)
    ).all()
    if made:
        _assign(connection, [(contact_id, phone or "") for contact_id, phone in made])
        _identify(connection)
        _note_suppressed(connection)
    return len(made)


def _moment(now: datetime) -> sa.ColumnElement[datetime]:
    return sa.literal(now, UtcDateTime())


def _assign(connection: sa.Connection, made: Sequence[tuple[int, str]]) -> None:
    v = json_rows(connection, made, contact_id=sa.BigInteger(), phone=sa.String(20))
    connection.execute(
        sa.update(INCOMING).where(t.phone == v.c.phone, t.is_new).values(contact_id=v.c.contact_id)
    )


def _identify(connection: sa.Connection) -> None:
    """Who left one of these numbers keeps it no longer."""
    new = sa.select(t.key).where(t.is_new)
    connection.execute(
        sa.delete(ContactIdentity).where(
            ContactIdentity.kind == IdentityKind.PHONE, ContactIdentity.value.in_(new)
        )
    )
    rows = sa.select(sa.literal(IdentityKind.PHONE.value), t.key, t.contact_id).where(t.is_new)
    connection.execute(
        sa.insert(ContactIdentity).from_select(
            ["kind", "value", "contact_id"], rows, include_defaults=False
        )
    )


def _note_suppressed(connection: sa.Connection) -> None:
    said = (
        sa.select(
            t.contact_id,
            sa.literal("opt_out"),
            sa.literal("suppression"),
            sa.literal(""),
            Suppression.since,
        )
        .join(Suppression, Suppression.digest == t.digest)
        .where(t.is_new)
    )
    _add_consent(connection, said)


def update_known(connection: sa.Connection) -> None:
    """What the file says replaces what we had; what it leaves empty is kept. Where two lines are two
    numbers of one person, one of them wins."""
    merged = (
        Contact.attributes.op("||")(t.attributes)
        if is_postgresql(connection)
        else sa.func.json_patch(Contact.attributes, t.attributes)
    )
    connection.execute(
        sa.update(Contact)
        .where(Contact.id == t.contact_id, sa.not_(t.is_new))
        .values(
            phone=t.phone,
            name=sa.func.coalesce(sa.func.nullif(t.name, ""), Contact.name),
            search_name=sa.func.coalesce(sa.func.nullif(t.search_name, ""), Contact.search_name),
            document=sa.func.coalesce(t.document, Contact.document),
            email=sa.func.coalesce(t.email, Contact.email),
            attributes=merged,
        )
        .execution_options(synchronize_session=False)
    )


def add_tags(connection: sa.Connection) -> None:
    listed = sa.func.jsonb_array_elements_text if is_postgresql(connection) else sa.func.json_each
    tags = listed(t.tags).table_valued("value")
    rows = (
        sa.select(t.contact_id, tags.c.value)
        .select_from(INCOMING.join(tags, sa.true()))
        .where(t.contact_id.is_not(None))  # SQLite wants a WHERE before ON CONFLICT
        .distinct()
    )
    connection.execute(
        upsert(connection, ContactTag)
        .from_select(["contact_id", "name"], rows, include_defaults=False)
        .on_conflict_do_nothing()
    )


def add_opt_ins(connection: sa.Connection, file: str, now: datetime) -> int:
    """Who agreed, with the line of the file as evidence; returns how many.

    A list does not say when somebody agreed, so it never undoes what they said themselves: who opted
    out stays so.
    """
    evidence = sa.literal(f"{file}:") + sa.cast(t.line, sa.String)
    # Not a join: of a table that grew in this import PostgreSQL has no figures yet, and joins it badly.
    opted_out_at = (
        sa.select(Contact.opted_out_at).where(Contact.id == t.contact_id).scalar_subquery()
    )
    said = sa.select(
        t.contact_id, sa.literal("opt_in"), sa.literal("import"), evidence, _moment(now)
    ).where(t.agreed, opted_out_at.is_(None))
    return _add_consent(connection, said)


def _add_consent(connection: sa.Connection, said: sa.Select[Any]) -> int:
    columns = ["contact_id", "kind", "source", "evidence", "happened_at"]
    statement = sa.insert(ConsentEvent).from_select(columns, said, include_defaults=False)
    return connection.execute(statement, execution_options={"preserve_rowcount": True}).rowcount
