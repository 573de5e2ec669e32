"""Tolerant access to single values of Meta's bodies: any key may be missing or of another type."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec

from chatbot.core import clock
from chatbot.core.text import clean_lines

MAX_ID_LENGTH = 255  # characters of a wamid that our columns hold
# Clocks differ a little; a timestamp further in the future is not believed.
MAX_CLOCK_SKEW = timedelta(minutes=5)

_INTEGER = re.compile(r"\s{0,9}-?[0-9]{1,19}\s{0,9}")
_NUL = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")


class UnreadableUpdate(ValueError):
    """Update that can't be applied as it is; `args[0]` is the reason."""


def iter_objects(value: object) -> Iterator[dict[str, Any]]:
    """Yield the objects of a list, and skip anything else in it."""
    if isinstance(value, list):
        yield from (item for item in value if isinstance(item, dict))


def get_object(value: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the object under a key, or an empty one."""
    found = value.get(name)
    return found if isinstance(found, dict) else {}


def to_text(value: object, max_length: int | None = None) -> str:
    """Return a string, without characters that nobody sees, or an integer as text; else an empty text."""
    if isinstance(value, str):
        return clean_lines(value)[:max_length]
    return str(value)[:max_length] if isinstance(value, int) and not isinstance(value, bool) else ""


def first_text(value: Mapping[str, Any], *names: str, max_length: int | None = None) -> str:
    return next((found for name in names if (found := to_text(value.get(name), max_length))), "")


def to_integer(value: object) -> int | None:
    """Return an integer of 32 bits, also if it is written as text; else None."""
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        value = int(value)
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    return value if is_whole and abs(value) < 2**31 else None  # type: ignore[return-value,arg-type]


def parse_timestamp(timestamp: object, default: datetime) -> datetime:
    """Parse Unix seconds given as text or number; return `default` if invalid or in the future."""
    if isinstance(timestamp, str | int | float) and not isinstance(timestamp, bool):
        try:
            found = clock.from_unix(float(timestamp))
        except (ValueError, OverflowError):
            return default
        return found if found <= default + MAX_CLOCK_SKEW else default
    return default


def strip_nul(content: Any) -> Any:
    """Remove NUL characters from a JSON value, since PostgreSQL's JSON columns reject them."""
    raw = msgspec.json.encode(content)
    return msgspec.json.decode(_NUL.sub(rb"\1", raw)) if b"u0000" in raw else content
