"""Single values of Meta's bodies, read tolerantly: any key may be missing or of another type.

What is seen in the wild: whatsapp_cloud_api.md section 1.4.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec

from chatbot.core import clock

MAX_ID_LENGTH = 255  # characters of a wamid, as our columns hold it
# Clocks differ a little; what lies further in the future is no moment we may believe.
MAX_CLOCK_SKEW = timedelta(minutes=5)

_NUL = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")


class UnreadableUpdate(ValueError):
    """An update that can't be applied as it is; `args[0]` says why."""


def iter_objects(value: object) -> Iterator[dict[str, Any]]:
    """The objects of a list, whatever stands between them."""
    if isinstance(value, list):
        yield from (item for item in value if isinstance(item, dict))


def get_object(value: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The object under a key; an empty one where there is none."""
    found = value.get(name)
    return found if isinstance(found, dict) else {}


def to_text(value: object, max_length: int | None = None) -> str:
    """A text or a whole number as text, without NUL, which PostgreSQL takes not."""
    if isinstance(value, str):
        return value.replace("\x00", "")[:max_length]
    return str(value)[:max_length] if isinstance(value, int) and not isinstance(value, bool) else ""


def first_text(value: Mapping[str, Any], *names: str, max_length: int | None = None) -> str:
    return next((found for name in names if (found := to_text(value.get(name), max_length))), "")


def to_integer(value: object) -> int | None:
    """A whole number that a column takes, also where it is written as text."""
    if isinstance(value, str) and value.strip().lstrip("-").isdecimal() and len(value) < 20:
        value = int(value)
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    return value if is_whole and abs(value) < 2**31 else None  # type: ignore[return-value,arg-type]


def parse_timestamp(timestamp: object, default: datetime) -> datetime:
    """Unix seconds as text or number; what is not one, or is yet to come, is the moment it arrived."""
    if isinstance(timestamp, str | int | float) and not isinstance(timestamp, bool):
        try:
            found = clock.from_unix(float(timestamp))
        except (ValueError, OverflowError):
            return default
        return found if found <= default + MAX_CLOCK_SKEW else default
    return default


def strip_nul(content: Any) -> Any:
    """A value as a JSON column takes it."""
    raw = msgspec.json.encode(content)
    return msgspec.json.decode(_NUL.sub(rb"\1", raw)) if b"u0000" in raw else content
