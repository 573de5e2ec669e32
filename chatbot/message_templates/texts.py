"""What a template's components say: its text, and the values it needs.

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
    buttons_of,
)

_PLACEHOLDER = re.compile(r"\{\{\s*([A-Za-z0-9_]+)\s*\}\}")
Components = Iterable[Mapping[str, Any]]


def component_text(components: Components, kind: str) -> str:
    return str(_component(components, kind).get("text") or "")


def _component(components: Components, kind: str) -> Mapping[str, Any]:
    for component in components:
        if str(component.get("type", "")).upper() == kind:
            return component
    return {}


def header_kind(components: Components) -> str:
    """`text`, `image`, `video`, `document`, `location`, or nothing."""
    header = _component(components, "HEADER")
    return str(header.get("format") or "TEXT").lower() if header else ""


def parameters_of(components: Components) -> list[str]:
    """The keys of the values that Meta refuses to do without: header, body, buttons."""
    components = list(components)
    return [
        *_header_parameters(components),
        *_blanks(component_text(components, "BODY")),
        *(f"{BUTTON}{n}" for n, b in enumerate(buttons_of(components)) if _needs_value(b)),
    ]


def optional_parameters_of(components: Components) -> list[str]:
    """What a quick reply sends back when it is tapped: its own words, unless a value says other."""
    buttons = enumerate(buttons_of(components))
    return [f"{BUTTON}{n}" for n, button in buttons if _kind_of(button) == "QUICK_REPLY"]


def _header_parameters(components: Sequence[Mapping[str, Any]]) -> list[str]:
    kind = header_kind(components)
    if kind in HEADER_MEDIA or kind == LOCATION:
        return [f"{HEADER}{kind}"]
    return [f"{HEADER}{name}" for name in _blanks(component_text(components, "HEADER"))]


def _blanks(text: str) -> list[str]:
    return list(dict.fromkeys(_PLACEHOLDER.findall(text)))


def _needs_value(button: Mapping[str, Any]) -> bool:
    kind = _kind_of(button)
    has_blank = bool(_PLACEHOLDER.search(str(button.get("url") or "")))
    return kind in ("COPY_CODE", "OTP") or (kind == "URL" and has_blank)


def _kind_of(button: Mapping[str, Any]) -> str:
    return str(button.get("type", "")).upper()


def render_text(components: Components, values: Mapping[str, str]) -> str:
    """What the contact will read: header, body and footer, each on its own lines."""
    shown = preview(components, values)
    return "\n\n".join(part for part in (shown.header, shown.body, shown.footer) if part)


@dataclass(frozen=True, slots=True)
class PreviewButton:
    """`link` is empty for a button that opens none."""

    kind: str
    text: str
    link: str = ""


@dataclass(frozen=True, slots=True)
class Preview:
    """A template as the contact will see it; blanks without a value stay as they are.

    `media` is what the header is instead of text: `image`, `video`, `document`, `location`.
    """

    media: str
    header: str
    body: str
    footer: str
    buttons: Sequence[PreviewButton]


def preview(components: Components, values: Mapping[str, str]) -> Preview:
    components = list(components)
    kind = header_kind(components)
    of_header = {k.removeprefix(HEADER): v for k, v in values.items() if k.startswith(HEADER)}
    return Preview(
        media="" if kind in ("", "text") else kind,
        header=_filled(component_text(components, "HEADER"), of_header),
        body=_filled(component_text(components, "BODY"), values),
        footer=component_text(components, "FOOTER"),
        buttons=[
            _preview_button(button, values.get(f"{BUTTON}{place}"))
            for place, button in enumerate(buttons_of(components))
        ],
    )


def _preview_button(button: Mapping[str, Any], value: str | None) -> PreviewButton:
    link = str(button.get("url") or "")
    if value is not None:
        link = _PLACEHOLDER.sub(lambda _: value, link)
    return PreviewButton(_kind_of(button), str(button.get("text") or ""), link)


def _filled(text: str, values: Mapping[str, str]) -> str:
    return _PLACEHOLDER.sub(lambda found: values.get(found[1], found[0]), text)
