"""Labels of campaign states, audiences, parameter sources, and reasons for skipped or failed messages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask_babel import LazyString
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from chatbot.campaigns.models import CampaignState
from chatbot.campaigns.parameters import CONTACT_COLUMNS
from chatbot.channels.whatsapp.errors import explain_error
from chatbot.delivery.models import MessageState

STATE_LABELS: dict[str, LazyString] = {
    CampaignState.DRAFT: _l("Draft"),
    CampaignState.SCHEDULED: _l("Scheduled"),
    CampaignState.RUNNING: _l("Running"),
    CampaignState.PAUSED: _l("Paused"),
    CampaignState.FINISHED: _l("Finished"),
    CampaignState.CANCELLED: _l("Cancelled"),
}
SKIP_REASON_LABELS: dict[str, LazyString] = {
    "opted_out": _l("wants no campaigns"),
    "merged": _l("is a duplicate of another contact"),
    "no_address": _l("has no phone and no WhatsApp id"),
    "unreachable": _l("several deliveries failed"),
    "no_consent": _l("without recorded consent"),
    "served_already": _l("already received it under another contact"),
    "cancelled": _l("the campaign was cancelled first"),
    "erased": _l("the contact was erased"),
}
FIELD_LABELS: dict[str, LazyString] = dict(
    zip(CONTACT_COLUMNS, (_l("Name"), _l("Phone"), _l("CPF or CNPJ"), _l("E-mail")), strict=True)
)

CATEGORY_LABELS: dict[str, LazyString] = {
    "UTILITY": _l("utility"),
    "MARKETING": _l("marketing"),
    "AUTHENTICATION": _l("authentication"),
}


def skip_reason_label(reason: str | None) -> str:
    return str(SKIP_REASON_LABELS.get(reason or "") or reason or _l("it was skipped"))


def cause_label(state: str, cause: object) -> str:
    """Return the label of an error code (failed messages) or a skip reason (skipped ones)."""
    if state == MessageState.FAILED:
        return explain_error(int(str(cause)) if cause is not None else None)
    return skip_reason_label(None if cause is None else str(cause))


def audience_label(audience: Mapping[str, Any]) -> str:
    name = str(audience.get("name", ""))
    if audience.get("kind") == "tag":
        return str(_("people with the tag “%(tag)s”", tag=name))
    if audience.get("kind") == "segment":
        return str(_("people of the segment “%(segment)s”", segment=name))
    return str(_("people: all contacts"))


def source_label(source: str) -> str:
    """Return the label of a parameter's source."""
    kind, _, value = source.partition(":")
    if kind == "text":
        return f"“{value}”"
    return str(FIELD_LABELS.get(value) or value)
