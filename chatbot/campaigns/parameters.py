"""Parameters of a template: the source of each value, and the values for one contact.

A source is `text:...` (the same for all) or `field:...` (a column of the contact or an attribute).
Keys are those of `message_templates.components`: `1`, `header:image`, `button:0`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from chatbot.core.errors import InvalidInput
from chatbot.message_templates.components import (
    Components,
    list_optional_parameters,
    list_parameters,
)
from chatbot.message_templates.values import check_value

CONTACT_COLUMNS = ("name", "phone", "document", "email")


class MissingValue(ValueError):
    """A contact has no value for a parameter, which needs its column or attribute `name`."""

    def __init__(self, name: str) -> None:
        super().__init__(f"The contact has no {name}.")
        self.name = name


def parse_parameters(items: Iterable[str]) -> dict[str, str]:
    """Parse items such as `"1=field:name"` into a mapping. Raises InvalidInput, naming the item."""
    parsed: dict[str, str] = {}
    for item in items:
        name, separator, source = item.partition("=")
        kind, _, value = source.partition(":")
        if not separator or kind not in ("field", "text") or not value.strip():
            raise InvalidInput(
                "The parameter %(item)r is not of the form 1=field:name, 2=text:10/12 or "
                "header:image=text:https://example.com/picture.jpg.",
                field="param",
                item=item,
            )
        parsed[name.strip()] = source
    return parsed


def check_parameters(components: Components, given: Mapping[str, str]) -> None:
    """Raise InvalidInput for a parameter that is missing, unknown or has an invalid text."""
    components = list(components)
    wanted = list_parameters(components)
    known = {*wanted, *list_optional_parameters(components)}
    for name in wanted:
        if name not in given:
            raise InvalidInput(
                "The template needs a value for {{%(name)s}}; give it as a field or a text.",
                field="param",
                name=name,
            )
    for name, source in given.items():
        if name not in known:
            raise InvalidInput(
                "The template has no parameter {{%(name)s}}.", field="param", name=name
            )
        if source.startswith("text:"):
            check_value(name, source.removeprefix("text:"), components)


def fill_parameters(sources: Mapping[str, str], contact: Any) -> dict[str, str]:
    """Return the values for one contact (any object with its columns).

    Raises:
        MissingValue: the contact lacks a value. Meta refuses empty parameters.
    """
    return compile_parameters(sources)(contact)


def compile_parameters(sources: Mapping[str, str]) -> Callable[[Any], dict[str, str]]:
    """Return `fill_parameters` as a function of the contact, faster for many contacts."""
    readers = [(key, _compile_source(source)) for key, source in sources.items()]
    return lambda contact: {key: read(contact) for key, read in readers}


def _compile_source(source: str) -> Callable[[Any], str]:
    kind, _, name = source.partition(":")
    if kind == "text":
        return lambda contact: name
    is_column = name in CONTACT_COLUMNS

    def read(contact: Any) -> str:
        value = getattr(contact, name) if is_column else contact.attributes.get(name)
        text = str(value).strip() if value is not None else ""
        if not text:
            raise MissingValue(name)
        return text

    return read
