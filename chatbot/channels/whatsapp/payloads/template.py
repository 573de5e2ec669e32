"""Message templates filled with values.

Keys of values: `1`, `2` or a name for variables of the body; `header:1` or `header:name` for variables of
the header; `header:image`, `header:video`, `header:document` (a link or the id of an upload) and
`header:location` (latitude; longitude; name; address) for other headers; `button:0` for the first button.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from chatbot.channels.whatsapp.payloads.media import MediaKind, media_body
from chatbot.channels.whatsapp.payloads.template_parts import (
    check_button_value,
    list_unfillable_parts,
)
from chatbot.channels.whatsapp.payloads.text import location_body
from chatbot.core.errors import InvalidInput
from chatbot.core.i18n import N_

# Renders one component of the message from a person's values.
ComponentRenderer = Callable[[Mapping[str, str]], dict[str, Any]]

HEADER, BUTTON = "header:", "button:"
LOCATION = "location"
HEADER_MEDIA = frozenset({MediaKind.IMAGE, MediaKind.VIDEO, MediaKind.DOCUMENT})
# Meta refuses a parameter with line breaks, tabs or more than four spaces in a row.
_BREAKS = str.maketrans({"\n": " ", "\t": " ", "\r": " "})

UNFILLABLE = N_(
    "The template %(name)s has parts that Prosa cannot fill in (%(parts)s), so Meta would refuse "
    "every message: choose another template."
)

# By Meta's type of button: the `sub_type` of its component, the parameter's type and its key.
BUTTON_PARAMETERS: dict[str, tuple[str, str, str]] = {
    "URL": ("url", "text", "text"),
    "OTP": ("url", "text", "text"),
    "COPY_CODE": ("copy_code", "coupon_code", "coupon_code"),
    "QUICK_REPLY": ("quick_reply", "payload", "payload"),
}


def template_body(
    name: str,
    language: str,
    values: Mapping[str, str],
    *,
    named: bool,
    components: Iterable[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """Build the body of a filled template. `components` are the template's own, as Meta lists them.

    Raises:
        InvalidInput: the template has a part that we can't fill, a key has no place in it, or a value is no
            valid location, link or id.
    """
    return compile_template(name, language, values, named=named, components=components)(values)


def compile_template(
    name: str,
    language: str,
    keys: Iterable[str],
    *,
    named: bool,
    components: Iterable[Mapping[str, Any]] = (),
) -> Callable[[Mapping[str, str]], dict[str, Any]]:
    """Return a function that renders the body from a person's values for these keys.

    The places of the keys are resolved once for all persons. Raises as `template_body` does.
    """
    components = list(components)
    if unfillable := list_unfillable_parts(components):
        raise InvalidInput(UNFILLABLE, field="template", name=name, parts=", ".join(unfillable))
    header = [key for key in keys if key.startswith(HEADER)]
    buttons = [key for key in keys if key.startswith(BUTTON)]
    body = [key for key in keys if not key.startswith((HEADER, BUTTON))]
    parts = [
        *([_header(header, named)] if header else []),
        *([_text_parameters("body", body, named)] if body else []),
        *_buttons(buttons, components),
    ]
    code = {"code": language}

    def render(values: Mapping[str, str]) -> dict[str, Any]:
        filled = [part(values) for part in parts]
        return {
            "type": "template",
            "template": {"name": name, "language": code, "components": filled},
        }

    return render


def _text_parameters(
    kind: str, keys: Iterable[str], named: bool, prefix: str = ""
) -> ComponentRenderer:
    """Render text parameters: numbered ones in their order, named ones in any."""
    places = [(key, key.removeprefix(prefix)) for key in keys]
    if not named:
        places.sort(key=lambda place: int(place[1]))
        return lambda values: {
            "type": kind,
            "parameters": [{"type": "text", "text": _one_line(values[key])} for key, _ in places],
        }
    return lambda values: {
        "type": kind,
        "parameters": [
            {"type": "text", "text": _one_line(values[key]), "parameter_name": name}
            for key, name in places
        ],
    }


def _header(keys: Iterable[str], named: bool) -> ComponentRenderer:
    for key in keys:
        kind = key.removeprefix(HEADER)
        if kind == LOCATION or kind in HEADER_MEDIA:
            return partial(_media_header, key, kind)
    return _text_parameters("header", keys, named, HEADER)


def _media_header(key: str, kind: str, values: Mapping[str, str]) -> dict[str, Any]:
    value = values[key]
    if kind == LOCATION:
        return {"type": "header", "parameters": [_parse_location(value)]}
    source = {"link": value} if "://" in value else {"media_id": value}
    return {"type": "header", "parameters": [media_body(MediaKind(kind), **source)]}


def _parse_location(value: str) -> dict[str, Any]:
    latitude, longitude, *rest = [part.strip() for part in value.split(";")]
    name, address = (*rest, "", "")[:2]
    return location_body(float(latitude), float(longitude), name=name, address=address)


def check_location(value: str) -> None:
    """Raise InvalidInput unless `value` is a location."""
    try:
        _parse_location(value)
    except ValueError:
        raise InvalidInput(
            "A location is written as latitude; longitude; name; address, such as -23.5505; "
            "-46.6333; Loja Centro; Praça da Sé, 1.",
            field="param",
        ) from None


def _buttons(
    keys: Iterable[str], components: Iterable[Mapping[str, Any]]
) -> list[ComponentRenderer]:
    kinds = [str(button.get("type", "")).upper() for button in list_buttons(components)]
    return [_button(key, int(key.removeprefix(BUTTON)), kinds) for key in keys]


def _button(key: str, place: int, kinds: list[str]) -> ComponentRenderer:
    kind = kinds[place] if place < len(kinds) else ""
    if kind not in BUTTON_PARAMETERS:
        raise InvalidInput(
            "The template has no button %(place)s that takes a value.", field="param", place=place
        )
    sub_type, parameter, name = BUTTON_PARAMETERS[kind]

    def render(values: Mapping[str, str]) -> dict[str, Any]:
        value = _one_line(values[key])
        check_button_value(kind, value)
        return {
            "type": "button",
            "sub_type": sub_type,
            "index": str(place),
            "parameters": [{"type": parameter, name: value}],
        }

    return render


def list_buttons(components: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """List the buttons of a template in their order."""
    for component in components:
        buttons = component.get("buttons")
        if str(component.get("type", "")).upper() == "BUTTONS" and isinstance(buttons, list):
            return [button for button in buttons if isinstance(button, dict)]
    return []


def _one_line(text: str) -> str:
    """Replace line breaks and runs of spaces by one space."""
    if text.isprintable() and "  " not in text:
        return text.strip(" ")
    return " ".join(text.translate(_BREAKS).split())
