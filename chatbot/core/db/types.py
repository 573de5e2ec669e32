"""Column types of the models, and how Python values are prepared for them. Touches no connection."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

Json = sa.JSON().with_variant(JSONB(), "postgresql")
# SQLite autoincrements only a column declared INTEGER.
BigId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


class UtcDateTime(sa.TypeDecorator[datetime]):
    """Aware UTC timestamp. SQLite has no time zones and stores it as naive UTC text."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment without a time zone")
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        return None if value is None else value.replace(tzinfo=value.tzinfo or UTC).astimezone(UTC)


class EnumString(sa.TypeDecorator[str]):
    """String enum column. Values in comparisons are rendered as literals so that partial indexes match.

    With a parameter, a plan that is kept for all values could use no partial index, and SQLite would
    plan again at each run.
    """

    impl = sa.String
    cache_ok = True

    class Comparator(sa.TypeDecorator.Comparator[str]):
        def operate(self, op: Any, *others: Any, **kw: Any) -> Any:
            return super().operate(op, *map(_as_literal, others), **kw)

    comparator_factory = Comparator


def _as_literal(value: Any) -> Any:
    if isinstance(value, StrEnum):
        return sa.literal_column(f"'{value}'", sa.String())
    return [_as_literal(v) for v in value] if isinstance(value, tuple | list) else value


def sanitize_text(text: str | None, max_length: int = 255) -> str | None:
    """Return text from outside as any column accepts it: no NUL, no lone surrogate, not too long.

    PostgreSQL refuses NUL and no encoder accepts a lone surrogate; one such row would block every row
    that is written in the same statement.
    """
    if text is None:
        return None
    return text.replace("\x00", "").encode("utf-8", "replace").decode()[:max_length]


def timestamp_text(value: datetime | None) -> str | None:
    """Format a timestamp for `json_rows`: comparable as text in SQLite, castable in PostgreSQL."""
    if value is None:
        return None
    return value.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")
