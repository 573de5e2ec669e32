"""Keyset pages: the next page begins after the last row of this one, and no OFFSET counts rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

import sqlalchemy as sa

from chatbot.core.errors import InvalidInput

T = TypeVar("T")
SEPARATOR = "~"


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """`after` is the cursor of the next page, as the address carries it; None on the last one."""

    rows: list[T]
    after: str | None = None


def build_page(rows: Sequence[T], size: int, key: Callable[[T], tuple[Any, ...]]) -> Page[T]:
    """A page from `size` + 1 rows: the one too many says that there is more."""
    shown = list(rows[:size])
    return Page(shown, encode_cursor(*key(shown[-1])) if len(rows) > size else None)


def rows_after(
    columns: Sequence[Any], values: Sequence[Any], *, descending: bool = False
) -> sa.ColumnElement[bool]:
    """The rows after `values` in the order of `columns`, which an index on them serves."""
    bound = [sa.literal(value, column.type) for column, value in zip(columns, values, strict=True)]
    left, right = sa.tuple_(*columns), sa.tuple_(*bound)
    return left < right if descending else left > right


def encode_cursor(*parts: Any) -> str:
    return SEPARATOR.join(
        part.astimezone(UTC).isoformat() if isinstance(part, datetime) else str(part)
        for part in parts
    )


def decode_cursor(text: str | None, *kinds: Callable[[str], Any]) -> tuple[Any, ...] | None:
    """The values of a cursor, the number last. Raises InvalidInput for one that we did not write."""
    if not text:
        return None
    parts = text.rsplit(SEPARATOR, len(kinds) - 1)
    try:
        return tuple(kind(part) for kind, part in zip(kinds, parts, strict=True))
    except (ValueError, OverflowError):
        raise InvalidInput("This page does not exist any more: begin at the first one.") from None


def parse_timestamp(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError("a moment without a time zone")
    return found


def parse_row_id(text: str) -> int:
    found = int(text)
    if not 0 <= found < 2**63:
        raise ValueError("no id")
    return found
