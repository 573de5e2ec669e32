"""Keyset pagination: a page begins after the last row of the previous one, without OFFSET.

Also the range of ids that anybody may send: in cursors, URLs and commands.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

import click
import sqlalchemy as sa

from chatbot.core.errors import InvalidInput

T = TypeVar("T")
SEPARATOR = "~"
MAX_ROW_ID = 2**63 - 1  # of a BigId column
ROW_ID = click.IntRange(1, MAX_ROW_ID)  # type of an argument of a `flask` command


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Rows of a page. `after` is the cursor of the next page, for the URL; None on the last page."""

    rows: list[T]
    after: str | None = None


def build_page(rows: Sequence[T], size: int, key: Callable[[T], tuple[Any, ...]]) -> Page[T]:
    """Build a page from up to `size` + 1 rows: the extra row shows that there is a next page."""
    shown = list(rows[:size])
    return Page(shown, encode_cursor(*key(shown[-1])) if len(rows) > size else None)


def rows_after(
    columns: Sequence[Any], values: Sequence[Any], *, descending: bool = False
) -> sa.ColumnElement[bool]:
    """Return the condition for rows after `values` in the order of `columns`, served by their index."""
    bound = [sa.literal(value, column.type) for column, value in zip(columns, values, strict=True)]
    left, right = sa.tuple_(*columns), sa.tuple_(*bound)
    return left < right if descending else left > right


def encode_cursor(*parts: Any) -> str:
    return SEPARATOR.join(
        part.astimezone(UTC).isoformat() if isinstance(part, datetime) else str(part)
        for part in parts
    )


def decode_cursor(text: str | None, *kinds: Callable[[str], Any]) -> tuple[Any, ...] | None:
    """Return the values of a cursor, parsed by `kinds`; None without a cursor.

    Raises:
        InvalidInput: the cursor is not one of `encode_cursor`.
    """
    if not text:
        return None
    parts = text.rsplit(SEPARATOR, len(kinds) - 1)
    try:
        return tuple(kind(part) for kind, part in zip(kinds, parts, strict=True))
    except (ValueError, OverflowError):
        raise InvalidInput("This page no longer exists: start at the first one.") from None


def parse_row_id(text: str) -> int:
    found = int(text)
    if not 0 <= found <= MAX_ROW_ID:
        raise ValueError("no id")
    return found
