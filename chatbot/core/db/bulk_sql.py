"""Statements over many values: sent as one JSON parameter, or returned as one JSON document.

A parameter per value would make another statement for each number of values, which must be compiled and
planned again. Builds expressions and runs none.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from chatbot.core.db.dialects import is_postgresql
from chatbot.core.db.types import UtcDateTime


def json_rows(
    connection: sa.Connection, rows: Sequence[Sequence[object]], **columns: sa.types.TypeEngine[Any]
) -> sa.Subquery:
    """Return `rows` as a table sent in one parameter: a thousand rows are one prepared statement.

    Each row has its values in the order of `columns`; timestamps are text (`timestamp_text`).
    """
    document = sa.bindparam("rows", encode_rows(rows), sa.Text, unique=True)
    return json_table(document, is_postgresql(connection), **columns)


def id_list(connection: sa.Connection, ids: Iterable[int]) -> sa.Select[int]:
    """Return a subquery of `ids` for an IN, sent as one parameter."""
    v = json_rows(connection, [(i,) for i in ids], id=sa.BigInteger())
    return sa.select(v.c.id)


def encode_rows(rows: Sequence[Sequence[object]]) -> str:
    return msgspec.json.encode(rows).decode()


def json_table(
    document: sa.BindParameter[str],
    on_postgresql: bool,
    **columns: sa.types.TypeEngine[Any],
) -> sa.Subquery:
    """Return the table of `json_rows` for a statement that is built once; `document` is `encode_rows`."""
    if on_postgresql:
        source = sa.func.jsonb_array_elements(sa.cast(document, JSONB))
    else:
        source = sa.func.json_each(document)
    value = source.table_valued("value").alias("source").c.value
    cells = [
        sa.cast(value.op("->>")(sa.literal_column(str(position))), kind).label(name)
        if on_postgresql or not isinstance(kind, UtcDateTime)
        # In SQLite a timestamp stays text, as `timestamp_text` wrote it.
        else sa.type_coerce(value.op("->>")(sa.literal_column(str(position))), kind).label(name)
        for position, (name, kind) in enumerate(columns.items())
    ]
    return sa.select(*cells).subquery("v")


def aggregate_rows_as_json(engine: sa.Engine, *columns: Any) -> sa.ColumnElement[str]:
    """Return an aggregate of all rows as one JSON document: an array of arrays, in no order."""
    f = sa.func
    if is_postgresql(engine):
        return sa.cast(f.json_agg(f.json_build_array(*columns)), sa.Text)
    return f.json_group_array(f.json_array(*columns))


def embed_json(engine: sa.Engine, column: Any) -> Any:
    """Return a JSON column as part of such a document; in SQLite it is text and must be parsed."""
    return column if is_postgresql(engine) else sa.func.json(column)
