"""Why somebody does not get a campaign, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask_babel import LazyString
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from chatbot.campaigns.parameters import COLUMNS
from chatbot.channels.whatsapp.errors import explain
from chatbot.delivery.states import State

SKIP_REASONS: dict[str, LazyString] = {
    "opted_out": _l("wants no campaigns"),
    "merged": _l("is known under another contact"),
    "no_address": _l("has neither phone nor WhatsApp"),
    "unreachable": _l("WhatsApp could not deliver to them several times"),
    "served_already": _l("got it under another contact already"),
    "cancelled": _l("the campaign was cancelled first"),
}
FIELDS: dict[str, LazyString] = dict(
    zip(COLUMNS, (_l("Name"), _l("Phone"), _l("CPF or CNPJ"), _l("E-mail")), strict=True)
)

CATEGORIES: dict[str, LazyString] = {
    "UTILITY": _l("utility"),
    "MARKETING": _l("marketing"),
    "AUTHENTICATION": _l("authentication"),
}


def skipped_because(reason: str | None) -> str:
    return str(SKIP_REASONS.get(reason or "") or reason or _l("it was left out"))


def cause_of(state: str, cause: object) -> str:
    """`cause` is an error code of a failed message, or the reason of a skipped one."""
    if state == State.FAILED:
        return explain(int(str(cause)) if cause is not None else None)
    return skipped_because(None if cause is None else str(cause))


def audience_in_words(audience: Mapping[str, Any]) -> str:
    name = str(audience.get("name", ""))
    if audience.get("kind") == "tag":
        return _("people with the tag “%(tag)s”", tag=name)
    if audience.get("kind") == "segment":
        return _("people of the segment “%(segment)s”", segment=name)
    return _("people: all contacts")


def source_in_words(source: str) -> str:
    """Where a parameter's value comes from."""
    kind, _, value = source.partition(":")
    if kind == "text":
        return f"“{value}”"
    return str(FIELDS.get(value) or value)
