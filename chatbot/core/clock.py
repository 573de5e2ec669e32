"""Clock of the product: aware UTC inside, the company's time zone only where people read it."""

from __future__ import annotations

import re
from datetime import UTC, datetime, tzinfo

_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d.*", re.ASCII)
_END = 4_102_444_800  # 2100


def now() -> datetime:
    return datetime.now(UTC)


def from_unix(seconds: float) -> datetime:
    """Return the time of a Unix timestamp in seconds or, above 1e11, milliseconds (some senders use them).

    Raises:
        ValueError: not between 1970 and 2100.
    """
    value = seconds / 1000 if seconds > 1e11 else seconds
    if not 0 <= value < _END:
        raise ValueError(f"not a Unix time: {seconds}")
    return datetime.fromtimestamp(value, UTC)


def parse_time(text: str, zone: tzinfo | None = None) -> datetime:
    """Parse `2026-12-01 09:00` or a longer ISO time, in `zone` if it names none; return UTC.

    Raises:
        ValueError: another form, no time zone, or not between 1970 and 2100. Both ends keep far from
            those of the calendar, where a time zone or a time limit would overflow.
    """
    if not _TIME.fullmatch(text.strip()):
        raise ValueError(f"not a date with a time: {text[:60]!r}")
    found = datetime.fromisoformat(text.strip())
    if found.tzinfo is None and zone is None:
        raise ValueError("a time without a time zone")
    if not 1970 <= found.year < 2100:
        raise ValueError(f"not between 1970 and 2100: {text[:60]!r}")
    return found.replace(tzinfo=found.tzinfo or zone).astimezone(UTC)
