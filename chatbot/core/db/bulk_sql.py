"""Many values as one parameter of a statement, and many rows as one document of its answer.

A statement with a parameter for each value is another one for each number of them, to be compiled and
planned anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from chatbot.core.db import UtcDateTime, is_postgresql


def json_rows(
    connection: sa.Connection, rows: Sequence[Sequence[object]], **columns: sa.types.TypeEngine[Any]
) -> sa.Subquery:
    """A table of values sent as one parameter, so that a thousand rows are one prepared statement.

    Each row gives its values in the order of `columns`; moments are sent as text.
    """
    document = sa.bindparam("rows", encode_rows(rows), sa.Text, unique=True)
    return json_table(document, is_postgresql(connection), **columns)


def id_list(connection: sa.Connection, ids: Iterable[int]) -> sa.Select[int]:
    """Ids for an IN, as one parameter: a thousand are as many to compile otherwise."""
    v = json_rows(connection, [(i,) for i in ids], id=sa.BigInteger())
    return sa.select(v.c.id)


def encode_rows(rows: Sequence[Sequence[object]]) -> str:
    return msgspec.json.encode(rows).decode()


def json_table(
    document: sa.BindParameter[str],
    on_postgresql: bool,
    **columns: sa.types.TypeEngine[Any],
) -> sa.Subquery:
    """The same for a statement that is built once and run often, with `rows_text` as the parameter."""
    if on_postgresql:
        source = sa.func.jsonb_array_elements(sa.cast(document, JSONB))
    else:
        source = sa.func.json_each(document)
    value = source.table_valued("value").alias("source").c.value
    cells = [
        sa.cast(value.op("->>")(sa.literal_column(str(position))), kind).label(name)
        if on_postgresql or not isinstance(kind, UtcDateTime)
        # In SQLite a moment is text already, in the form that moment_text gave it.
        else sa.type_coerce(value.op("->>")(sa.literal_column(str(position))), kind).label(name)
        for position, (name, kind) in enumerate(columns.items())
    ]
    return sa.select(*cells).subquery("v")


def aggregate_rows_as_json(engine: sa.Engine, *columns: Any) -> sa.ColumnElement[str]:
    """All rows of a group as one JSON document, an array of arrays, in no order."""
    f = sa.func
    if is_postgresql(engine):
        return sa.cast(f.json_agg(f.json_build_array(*columns)), sa.Text)
    return f.json_group_array(f.json_array(*columns))


def embed_json(engine: sa.Engine, column: Any) -> Any:
    """A JSON column as a part of such a document; to SQLite it is a text."""
    return column if is_postgresql(engine) else sa.func.json(column)
