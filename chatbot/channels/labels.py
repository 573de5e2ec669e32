"""Labels of the state and the events of a number."""

from __future__ import annotations

import re

from flask_babel import LazyString
from flask_babel import lazy_gettext as _l

from chatbot.channels.models import AccountState, ChannelEvent, Severity
from chatbot.channels.whatsapp.errors import explain_error

ACCOUNT_STATES: dict[str, LazyString] = {
    AccountState.ACTIVE: _l("Active"),
    AccountState.RESTRICTED: _l("Restricted by Meta"),
    AccountState.DISABLED: _l("Disabled by Meta"),
    AccountState.DELETED: _l("Deleted"),
}
QUALITIES: dict[str, LazyString] = {
    "GREEN": _l("Good"),
    "YELLOW": _l("Medium"),
    "RED": _l("Bad"),
    "UNKNOWN": _l("Not rated yet"),
}
QUALITY_TONES = {"GREEN": "ok", "YELLOW": "warn", "RED": "bad"}
SEVERITY_ICONS = {
    Severity.INFO: "info-circle",
    Severity.WARN: "exclamation-triangle",
    Severity.BAD: "exclamation-circle",
}
EVENT_FIELDS: dict[str, LazyString] = {
    "template_status": _l("State of a template"),
    "template_quality": _l("Quality of a template"),
    "template_category": _l("Category of a template"),
    "template_category_notice": _l("Meta will change the category of a template"),
    "template_components": _l("Text of a template"),
    "account": _l("Account"),
    "account_review": _l("Review of the account"),
    "account_alert": _l("Alert from Meta"),
    "capability": _l("People per day who may be messaged first"),
    "number_quality": _l("Quality and limits of the number"),
    "number_name": _l("Name of the number"),
    "security": _l("Security of the number"),
    "error": _l("Error reported by Meta"),
    "halt": _l("Sending from this number has stopped"),
    "campaign": _l("A campaign has paused itself"),
}
# Meta's words for what happened (Meta, "Webhooks: fields"), and ours for what Prosa itself does.
EVENTS: dict[str, LazyString] = {
    "APPROVED": _l("Approved"),
    "REINSTATED": _l("Reinstated"),
    "UNPAUSED": _l("No longer paused"),
    "PENDING": _l("In review"),
    "IN_APPEAL": _l("Under appeal"),
    "PENDING_DELETION": _l("Being deleted"),
    "DELETED": _l("Deleted"),
    "DISABLED": _l("Disabled by Meta"),
    "REJECTED": _l("Rejected"),
    "DEFERRED": _l("Postponed"),
    "PAUSED": _l("Paused"),
    "FLAGGED": _l("Flagged for bad quality"),
    "LIMIT_EXCEEDED": _l("Over Meta's limit"),
    "ARCHIVED": _l("Archived"),
    "CHANGED": _l("Changed"),
    "HALTED": _l("Stopped"),
    "LIMIT": _l("New limit"),
    **QUALITIES,
    "MARKETING": _l("marketing"),
    "UTILITY": _l("utility"),
    "AUTHENTICATION": _l("authentication"),
    "UNFLAGGED": _l("No longer flagged"),
    "ONBOARDING": _l("Being set up"),
    "UPGRADE": _l("Limit raised"),
    "DOWNGRADE": _l("Limit lowered"),
    "THROUGHPUT_UPGRADE": _l("More messages per second"),
    "VERIFIED_ACCOUNT": _l("Account verified"),
    "DISABLED_UPDATE": _l("Account disabled or enabled"),
    "ACCOUNT_VIOLATION": _l("Breach of Meta's policy"),
    "ACCOUNT_RESTRICTION": _l("Account restricted"),
    "ACCOUNT_DELETED": _l("Account deleted"),
    "ACCOUNT_OFFBOARDED": _l("Account disconnected"),
    "ACCOUNT_RECONNECTED": _l("Account connected again"),
    "PARTNER_ADDED": _l("Partner added"),
    "PARTNER_REMOVED": _l("Partner removed"),
    "PHONE_NUMBER_ADDED": _l("Number added"),
    "PHONE_NUMBER_REMOVED": _l("Number removed"),
    "PIN_CHANGED": _l("PIN changed"),
    "PIN_RESET_REQUEST": _l("Somebody asked to reset the PIN"),
    "PIN_RESET_SUCCESS": _l("PIN reset"),
}
_WITH_CODE = re.compile(r"\((\d+)\) ?(.*)", re.DOTALL)


def get_field_label(event: ChannelEvent) -> str:
    return str(EVENT_FIELDS.get(event.field) or event.field)


def get_event_label(event: ChannelEvent) -> str:
    """Return what happened in words. A word of Meta's that is new to us stays English, but readable."""
    known = EVENTS.get(event.event)
    return str(known) if known else event.event.replace("_", " ").capitalize()


def get_event_detail(event: ChannelEvent) -> str:
    """Return the detail of an event, with an explanation if Meta gave a code."""
    if event.field == "error":
        return describe_reason(f"({event.event}) {event.detail}")
    return describe_reason(event.detail)


# Reasons that the code stores in SQL in English, with their translatable texts.
_OWN_REASONS = (
    (
        re.compile(r"The template (?P<name>.+) is (?P<status>\w+) at Meta\."),
        _l("The template %(name)s is %(status)s at Meta."),
    ),
    (
        re.compile(r"The quality of the template (?P<name>.+) is RED at Meta\."),
        _l("The quality of the template %(name)s is bad at Meta."),
    ),
    (
        re.compile(r"The quality of our number is RED at Meta\."),
        _l("The quality of our number is bad at Meta."),
    ),
    (
        re.compile(r"More than (?P<percent>\d+) % of the last messages failed\."),
        _l("More than %(percent)s %% of the last messages failed: see why below, then resume."),
    ),
    (
        re.compile(r"Meta has restricted the account: (?P<event>.+)", re.DOTALL),
        _l("Meta has restricted the account: %(event)s"),
    ),
)


def describe_reason(reason: str) -> str:
    """Return a stored reason in the reader's language.

    `(131042) Payment failed` becomes a sentence that says what to do; unknown reasons stay as they are.
    """
    found = _WITH_CODE.fullmatch(reason)
    if found and len(found[1]) < 9:
        return f"{explain_error(int(found[1]))} ({found[1]})"
    for pattern, sentence in _OWN_REASONS:
        if own := pattern.fullmatch(reason):
            return str(sentence) % own.groupdict()
    return reason
