"""Components of a template: its text, its preview, and the values it needs.

Values have the keys of `channels.whatsapp.payloads.template`: `1`, `header:1`, `button:0` and so on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chatbot.channels.whatsapp.payloads.template import (
    BUTTON,
    HEADER,
    HEADER_MEDIA,
    LOCATION,
    list_buttons,
)

_PLACEHOLDER = re.compile(r"\{\{\s*([A-Za-z0-9_]+)\s*\}\}")
Components = Iterable[Mapping[str, Any]]


def get_component_text(components: Components, kind: str) -> str:
    return str(_find_component(components, kind).get("text") or "")


def _find_component(components: Components, kind: str) -> Mapping[str, Any]:
    for component in components:
        if str(component.get("type", "")).upper() == kind:
            return component
    return {}


def get_header_kind(components: Components) -> str:
    """Return `text`, `image`, `video`, `document`, `location`, or an empty string."""
    header = _find_component(components, "HEADER")
    return str(header.get("format") or "TEXT").lower() if header else ""


def list_parameters(components: Components) -> list[str]:
    """Return the keys of the values that Meta requires: header, body, buttons."""
    components = list(components)
    return [
        *_header_parameters(components),
        *_find_placeholders(get_component_text(components, "BODY")),
        *(f"{BUTTON}{n}" for n, b in enumerate(list_buttons(components)) if _needs_value(b)),
    ]


def list_optional_parameters(components: Components) -> list[str]:
    """Return the keys of quick replies, which send their own text back unless a value is given."""
    buttons = enumerate(list_buttons(components))
    return [f"{BUTTON}{n}" for n, button in buttons if _button_kind(button) == "QUICK_REPLY"]


def _header_parameters(components: Sequence[Mapping[str, Any]]) -> list[str]:
    kind = get_header_kind(components)
    if kind in HEADER_MEDIA or kind == LOCATION:
        return [f"{HEADER}{kind}"]
    return [
        f"{HEADER}{name}" for name in _find_placeholders(get_component_text(components, "HEADER"))
    ]


def _find_placeholders(text: str) -> list[str]:
    return list(dict.fromkeys(_PLACEHOLDER.findall(text)))


def _needs_value(button: Mapping[str, Any]) -> bool:
    kind = _button_kind(button)
    has_blank = bool(_PLACEHOLDER.search(str(button.get("url") or "")))
    return kind in ("COPY_CODE", "OTP") or (kind == "URL" and has_blank)


def get_button_kind(components: Components, key: str) -> str:
    """Return Meta's type of the button with this key, or an empty string."""
    place = key.removeprefix(BUTTON)
    buttons = list_buttons(components)
    is_known = place.isdecimal() and int(place) < len(buttons)
    return _button_kind(buttons[int(place)]) if is_known else ""


def _button_kind(button: Mapping[str, Any]) -> str:
    return str(button.get("type", "")).upper()


def render_text(components: Components, values: Mapping[str, str]) -> str:
    """Return header, body and footer, separated by blank lines."""
    shown = render_preview(components, values)
    return "\n\n".join(part for part in (shown.header, shown.body, shown.footer) if part)


@dataclass(frozen=True, slots=True)
class PreviewButton:
    """A button; `link` is empty if it opens none."""

    kind: str
    text: str
    link: str = ""


@dataclass(frozen=True, slots=True)
class TemplatePreview:
    """A template as the contact will see it; placeholders without a value are kept.

    `media` is the kind of a header without text: `image`, `video`, `document`, `location`.
    """

    media: str
    header: str
    body: str
    footer: str
    buttons: Sequence[PreviewButton]


def render_preview(components: Components, values: Mapping[str, str]) -> TemplatePreview:
    components = list(components)
    kind = get_header_kind(components)
    of_header = {k.removeprefix(HEADER): v for k, v in values.items() if k.startswith(HEADER)}
    return TemplatePreview(
        media="" if kind in ("", "text") else kind,
        header=_fill(get_component_text(components, "HEADER"), of_header),
        body=_fill(get_component_text(components, "BODY"), values),
        footer=get_component_text(components, "FOOTER"),
        buttons=[
            _preview_button(button, values.get(f"{BUTTON}{place}"))
            for place, button in enumerate(list_buttons(components))
        ],
    )


def _preview_button(button: Mapping[str, Any], value: str | None) -> PreviewButton:
    link = str(button.get("url") or "")
    if value is not None:
        link = _PLACEHOLDER.sub(lambda _: value, link)
    return PreviewButton(_button_kind(button), str(button.get("text") or ""), link)


def _fill(text: str, values: Mapping[str, str]) -> str:
    return _PLACEHOLDER.sub(lambda found: values.get(found[1], found[0]), text)
