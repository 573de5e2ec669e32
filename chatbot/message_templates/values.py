"""What may stand in a template's blank, and what a person calls that blank."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from flask_babel import LazyString
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from chatbot.channels.whatsapp.payloads.limits import check_link
from chatbot.channels.whatsapp.payloads.template import (
    BUTTON,
    HEADER,
    HEADER_MEDIA,
    LOCATION,
    check_location,
)
from chatbot.core.errors import InvalidInput

HEADER_LABELS: dict[str, LazyString] = {
    "header:image": _l("Picture of the header (https:// link or the id of an upload)"),
    "header:video": _l("Video of the header (https:// link or the id of an upload)"),
    "header:document": _l("Document of the header (https:// link or the id of an upload)"),
    "header:location": _l("Place of the header (latitude; longitude; name; address)"),
}


def get_parameter_label(key: str) -> str:
    """What a person calls the blank of this key."""
    if key in HEADER_LABELS:
        return str(HEADER_LABELS[key])
    if key.startswith(HEADER):
        return _("Blank %(name)s of the header", name=key.removeprefix(HEADER))
    if key.startswith(BUTTON):
        return _("Value of button %(place)s", place=int(key.removeprefix(BUTTON)) + 1)
    return _("Blank")


def check_values(wanted: Iterable[str], optional: Iterable[str], given: Mapping[str, str]) -> None:
    """Raises InvalidInput, naming the blank that has no value, or one that can't be right.

    The `field` of the error is the blank's key.
    """
    wanted, optional = list(wanted), list(optional)
    for key in wanted:
        if not given.get(key, "").strip():
            raise InvalidInput("Fill in each blank of the template.", field=key)
    for key, value in given.items():
        if key not in (*wanted, *optional):
            raise InvalidInput("The template has no parameter {{%(name)s}}.", field=key, name=key)
        check_value(key, value)


def check_value(key: str, value: str) -> None:
    """Raises InvalidInput when `value` can't stand there; other texts may be any."""
    kind = key.removeprefix(HEADER) if key.startswith(HEADER) else ""
    if kind in HEADER_MEDIA:
        _check_file(value)
    elif kind == LOCATION:
        check_location(value)


def _check_file(value: str) -> None:
    """Meta fetches a link herself; the id of an upload is a number."""
    if value.isdigit():
        return
    check_link("param", value)
    if not value.startswith("https://"):
        raise InvalidInput("WhatsApp fetches files from https:// addresses only.", field="param")
