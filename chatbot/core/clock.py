"""Clock of the product: aware UTC inside, the company's time zone only where people read it."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> datetime:
    return datetime.now(UTC)


def from_unix(seconds: float) -> datetime:
    """Return the time of a Unix timestamp in seconds or, above 1e11, milliseconds (some senders use them).

    Raises:
        ValueError: not between 1970 and 2100.
    """
    value = seconds / 1000 if seconds > 1e11 else seconds
    if not 0 <= value < 4_102_444_800:
        raise ValueError(f"not a Unix time: {seconds}")
    return datetime.fromtimestamp(value, UTC)
