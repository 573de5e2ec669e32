"""Values of a template's placeholders: their checks and their labels."""

from __future__ import annotations

from collections.abc import Mapping

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
from chatbot.channels.whatsapp.payloads.template_parts import check_button_value
from chatbot.core.errors import InvalidInput
from chatbot.message_templates.components import (
    Components,
    get_button_kind,
    list_optional_parameters,
    list_parameters,
)

HEADER_LABELS: dict[str, LazyString] = {
    "header:image": _l("Image of the header (https:// link or the id of an upload)"),
    "header:video": _l("Video of the header (https:// link or the id of an upload)"),
    "header:document": _l("Document of the header (https:// link or the id of an upload)"),
    "header:location": _l("Location of the header (latitude; longitude; name; address)"),
}


def get_parameter_label(key: str) -> str:
    """Return the label of a placeholder's key."""
    if key in HEADER_LABELS:
        return str(HEADER_LABELS[key])
    if key.startswith(HEADER):
        return str(_("Placeholder %(name)s of the header", name=key.removeprefix(HEADER)))
    if key.startswith(BUTTON):
        return str(_("Value of button %(place)s", place=int(key.removeprefix(BUTTON)) + 1))
    return str(_("Placeholder"))


def check_values(components: Components, given: Mapping[str, str]) -> None:
    """Raise InvalidInput for a placeholder without a value, or with an invalid one.

    The `field` of the error is the placeholder's key.
    """
    components = list(components)
    wanted, optional = list_parameters(components), list_optional_parameters(components)
    for key in wanted:
        if not given.get(key, "").strip():
            raise InvalidInput("Fill in every placeholder of the template.", field=key)
    for key, value in given.items():
        if key not in (*wanted, *optional):
            raise InvalidInput("The template has no parameter {{%(name)s}}.", field=key, name=key)
        check_value(key, value, components)


def check_value(key: str, value: str, components: Components) -> None:
    """Raise InvalidInput for an invalid file, location, code or end of a link.

    Any other text is valid.
    """
    if key.startswith(BUTTON):
        check_button_value(get_button_kind(components, key), value)
    kind = key.removeprefix(HEADER) if key.startswith(HEADER) else ""
    if kind in HEADER_MEDIA:
        _check_file(value)
    elif kind == LOCATION:
        check_location(value)


def _check_file(value: str) -> None:
    """Check a link, which Meta fetches, or the id of an upload, which is a number."""
    if value.isdigit():
        return
    check_link("param", value)
    if not value.startswith("https://"):
        raise InvalidInput("WhatsApp fetches files from https:// addresses only.", field="param")
