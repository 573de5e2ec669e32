"""Meta's limits of lengths and counts, each with its error message.

Lengths are in code points; Meta does not document how it counts an emoji.
"""

from __future__ import annotations

from collections.abc import Iterable, Sized
from dataclasses import dataclass
from urllib.parse import urlsplit

from chatbot.core.errors import InvalidInput
from chatbot.core.i18n import N_

MAX_MESSAGE_TEXT = 4096
MAX_CAPTION = 1024
MAX_BUTTONS = 3
MAX_BUTTON_TITLE = 20
MAX_ROWS = 10
MAX_SECTIONS = 10
MAX_LINK = 2048


@dataclass(frozen=True, slots=True)
class Limit:
    """Maximum number of characters. `message` is formatted with `length`, `most` and `shown`."""

    most: int
    message: str


TEXT = Limit(
    MAX_MESSAGE_TEXT, N_("The text has %(length)s characters; WhatsApp accepts at most %(most)s.")
)
BODY = Limit(
    1024,
    N_(
        "The text has %(length)s characters; together with buttons or a link, WhatsApp "
        "accepts at most %(most)s."
    ),
)
LIST_BODY = Limit(
    4096, N_("The text of the list has %(length)s characters; WhatsApp accepts at most %(most)s.")
)
HEADER = Limit(60, N_("The header has %(length)s characters; WhatsApp accepts at most %(most)s."))
FOOTER = Limit(60, N_("The footer has %(length)s characters; WhatsApp accepts at most %(most)s."))
CAPTION = Limit(
    MAX_CAPTION,
    N_("The text beside the file has %(length)s characters; WhatsApp accepts at most %(most)s."),
)
BUTTON = Limit(
    MAX_BUTTON_TITLE,
    N_("The button “%(shown)s” has %(length)s characters; WhatsApp accepts at most %(most)s."),
)
BUTTON_ID = Limit(
    256, N_("The id of a button has %(length)s characters; WhatsApp accepts at most %(most)s.")
)
ROW_TITLE = Limit(
    24, N_("The row “%(shown)s” has %(length)s characters; WhatsApp accepts at most %(most)s.")
)
ROW_TEXT = Limit(
    72,
    N_("The description “%(shown)s” has %(length)s characters; WhatsApp accepts at most %(most)s."),
)
ROW_ID = Limit(
    200, N_("The id of a row has %(length)s characters; WhatsApp accepts at most %(most)s.")
)
SECTION_TITLE = Limit(
    24, N_("The section “%(shown)s” has %(length)s characters; WhatsApp accepts at most %(most)s.")
)
FILE_NAME = Limit(
    240, N_("The name of the file has %(length)s characters; WhatsApp accepts at most %(most)s.")
)
FILLED_TEMPLATE = Limit(
    1024,
    N_(
        "With its values the template has %(length)s characters; WhatsApp accepts at most %(most)s."
    ),
)
EXCERPT_LENGTH = 30


def check_length(field: str, text: str, limit: Limit) -> None:
    """Raise InvalidInput, naming the limit, if `text` is blank or too long."""
    if not text.strip():
        raise InvalidInput("A text that WhatsApp requires here is empty.", field=field)
    if len(text) > limit.most:
        shown = text if len(text) <= EXCERPT_LENGTH else f"{text[:EXCERPT_LENGTH]}…"
        raise InvalidInput(
            limit.message, field=field, length=len(text), most=limit.most, shown=shown
        )


def check_optional(field: str, text: str | None, limit: Limit) -> None:
    if text is not None:
        check_length(field, text, limit)


def check_count(field: str, things: Sized, most: int, message: str) -> None:
    """Raise InvalidInput unless there are 1 to `most`; `message` is formatted with both numbers."""
    if not 1 <= len(things) <= most:
        raise InvalidInput(message, field=field, count=len(things), most=most)


def check_unique(field: str, names: Iterable[str]) -> None:
    """Raise InvalidInput for a duplicate, since taps on equal items can't be distinguished."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise InvalidInput(
                "“%(name)s” appears twice; WhatsApp allows each only once.",
                field=field,
                name=name,
            )
        seen.add(name)


def check_link(field: str, link: str) -> None:
    """Raise InvalidInput unless `link` is an address that a phone can open."""
    try:
        parts = urlsplit(link)
        is_valid = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        is_valid = False
    if not is_valid or len(link) > MAX_LINK or any(c.isspace() for c in link):
        raise InvalidInput(
            "The link must be an address like https://example.com/page, without spaces.",
            field=field,
        )
