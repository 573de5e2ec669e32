"""Interactive messages: reply buttons, a list, a button that opens a link."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from chatbot.channels.whatsapp.payloads import limits
from chatbot.channels.whatsapp.payloads.limits import (
    check_count,
    check_length,
    check_link,
    check_optional,
    check_unique,
)
from chatbot.core.errors import InvalidInput
from chatbot.core.i18n import N_


@dataclass(frozen=True, slots=True)
class ListRow:
    """Row of a list. `id` is sent back when it is tapped."""

    id: str
    title: str
    description: str | None = None


@dataclass(frozen=True, slots=True)
class ListSection:
    """Rows under a title, which may be empty if there is only one section."""

    rows: Sequence[ListRow]
    title: str = ""


def buttons_body(
    text: str,
    buttons: Sequence[tuple[str, str]],
    *,
    header: str | None = None,
    footer: str | None = None,
) -> dict[str, Any]:
    """Build reply buttons from pairs (id, title). Raises InvalidInput, naming the limit."""
    check_length("text", text, limits.BODY)
    check_count("buttons", buttons, limits.MAX_BUTTONS, N_("Use from 1 to %(most)s buttons."))
    for id_, title in buttons:
        check_length("buttons", title, limits.BUTTON)
        check_length("buttons", id_, limits.BUTTON_ID)
    check_unique("buttons", (title for _, title in buttons))
    check_unique("buttons", (id_ for id_, _ in buttons))
    replies = [{"type": "reply", "reply": {"id": id_, "title": title}} for id_, title in buttons]
    return _interactive("button", text, header, footer, {"buttons": replies})


def list_body(
    text: str,
    button: str,
    sections: Sequence[ListSection],
    *,
    header: str | None = None,
    footer: str | None = None,
) -> dict[str, Any]:
    """Build a list that opens with `button`. Raises InvalidInput, naming the limit."""
    check_length("text", text, limits.LIST_BODY)
    check_length("button", button, limits.BUTTON)
    _check_sections(sections)
    shown = [_section(section) for section in sections]
    return _interactive("list", text, header, footer, {"button": button, "sections": shown})


def _check_sections(sections: Sequence[ListSection]) -> None:
    check_count(
        "sections", sections, limits.MAX_SECTIONS, N_("Use from 1 to %(most)s sections in a list.")
    )
    rows = [row for section in sections for row in section.rows]
    check_count(
        "rows",
        rows,
        limits.MAX_ROWS,
        N_("The list has %(count)s rows; WhatsApp accepts 1 to %(most)s."),
    )
    for section in sections:
        if len(sections) > 1 or section.title:
            check_length("sections", section.title, limits.SECTION_TITLE)
        if not section.rows:
            raise InvalidInput("A section of the list has no rows.", field="sections")
    for row in rows:
        check_length("rows", row.id, limits.ROW_ID)
        check_length("rows", row.title, limits.ROW_TITLE)
        check_optional("rows", row.description, limits.ROW_TEXT)
    check_unique("rows", (row.id for row in rows))


def _section(section: ListSection) -> dict[str, Any]:
    rows = [
        {"id": row.id, "title": row.title}
        | ({"description": row.description} if row.description else {})
        for row in section.rows
    ]
    return {"rows": rows} | ({"title": section.title} if section.title else {})


def link_button_body(
    text: str, title: str, link: str, *, header: str | None = None, footer: str | None = None
) -> dict[str, Any]:
    """Build a button that opens `link` (Meta's `cta_url`). Taps on it are not reported to us."""
    check_length("text", text, limits.BODY)
    check_length("button", title, limits.BUTTON)
    check_link("link", link)
    action = {"name": "cta_url", "parameters": {"display_text": title, "url": link}}
    return _interactive("cta_url", text, header, footer, action)


def _interactive(
    kind: str, text: str, header: str | None, footer: str | None, action: dict[str, Any]
) -> dict[str, Any]:
    check_optional("header", header, limits.HEADER)
    check_optional("footer", footer, limits.FOOTER)
    interactive: dict[str, Any] = {"type": kind, "body": {"text": text}, "action": action}
    if header:
        interactive["header"] = {"type": "text", "text": header}
    if footer:
        interactive["footer"] = {"text": footer}
    return {"type": "interactive", "interactive": interactive}
