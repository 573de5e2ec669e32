"""Each event of an account as one line of the channel's page, and how much it matters."""

from __future__ import annotations

from chatbot.channels.events import Note
from chatbot.channels.models import AccountState, Severity
from chatbot.channels.whatsapp.errors import Reaction, reaction_to
from chatbot.webhooks import events as e

INFO, WARN, BAD = Severity.INFO, Severity.WARN, Severity.BAD

STATE_OF_BAN = {
    "DISABLE": AccountState.DISABLED,
    "SCHEDULE_FOR_DISABLE": AccountState.RESTRICTED,
    "REINSTATE": AccountState.ACTIVE,
}
STATE_OF_EVENT = {
    "ACCOUNT_DELETED": AccountState.DELETED,
    "ACCOUNT_RESTRICTION": AccountState.RESTRICTED,
    "ACCOUNT_OFFBOARDED": AccountState.DISABLED,
    "ACCOUNT_RECONNECTED": AccountState.ACTIVE,
}
_BAD_ACCOUNT = frozenset({"ACCOUNT_DELETED", "ACCOUNT_RESTRICTION", "DISABLED_UPDATE",
                          "ACCOUNT_OFFBOARDED"})  # fmt: skip
_GOOD_TEMPLATE = frozenset({"APPROVED", "REINSTATED", "UNPAUSED", "PENDING", "IN_APPEAL"})
_BAD_TEMPLATE = frozenset({"DISABLED", "REJECTED", "PAUSED"})
_COLOUR = {"GREEN": INFO, "YELLOW": WARN, "RED": BAD}
_ALERT = {"CRITICAL": BAD, "HIGH": BAD, "WARNING": WARN, "MEDIUM": WARN}
_GRAVE = frozenset({Reaction.TOKEN, Reaction.STOP})


def note_of(event: e.AccountEvent) -> Note:
    match event:
        case e.TemplateStatusChanged():
            word = event.event
            grave = BAD if word in _BAD_TEMPLATE else INFO if word in _GOOD_TEMPLATE else WARN
            return _of_template(event, word, grave, event.detail)
        case e.TemplateQualityChanged():
            return _of_template(event, event.quality, _COLOUR.get(event.quality, INFO))
        case e.TemplateCategoryChanged():
            # A notice and the change are two subjects: the one does not overtake the other.
            field = "template_category_notice" if event.is_notice else "template_category"
            return _of_template(event, event.category, WARN, field=field)
        case e.TemplateComponentsChanged():
            return _of_template(event, "CHANGED", INFO)
        case e.AccountUpdated():
            is_back = event.ban_state == "REINSTATE"
            grave = BAD if event.event in _BAD_ACCOUNT and not is_back else INFO
            grave = WARN if event.event == "ACCOUNT_VIOLATION" else grave
            # Only what changes the account's state competes for it.
            has_state = event.ban_state in STATE_OF_BAN or event.event in STATE_OF_EVENT
            subject = "" if has_state else event.event
            return _note(event, event.event, grave, event.detail, subject=subject)
        case e.AccountReviewed():
            return _note(event, event.decision, WARN if event.decision == "REJECTED" else INFO)
        case e.AccountAlerted():
            grave = _ALERT.get(event.severity, INFO)
            return _note(event, event.alert, grave, event.detail, subject=event.alert)
        case e.CapabilityChanged():
            limit = "unlimited" if event.daily_limit is None else str(event.daily_limit)
            return _note(event, "LIMIT", INFO, limit)
        case e.NumberQualityChanged():
            grave = BAD if event.event == "FLAGGED" else INFO
            grave = WARN if event.event == "DOWNGRADE" else grave
            return _note(event, event.event, grave, event.limit)
        case e.NumberNameChanged():
            grave = WARN if event.decision == "REJECTED" else INFO
            detail = ", ".join(part for part in (event.name, event.detail) if part)
            return _note(event, event.decision, grave, detail)
        case e.SecurityNoted():
            return _note(event, event.event, BAD, event.requester)
        case e.ErrorReported():
            grave = BAD if reaction_to(event.code) in _GRAVE else WARN
            return _note(event, str(event.code), grave, event.detail, subject=str(event.code))


def _note(
    event: e.AccountEvent, word: str, severity: Severity, detail: str = "", subject: str = ""
) -> Note:
    return Note(
        field=e.kind_of(event), event=word, severity=severity, subject=subject, detail=detail
    )


def _of_template(
    event: e.TemplateStatusChanged
    | e.TemplateQualityChanged
    | e.TemplateCategoryChanged
    | e.TemplateComponentsChanged,
    word: str,
    severity: Severity,
    detail: str = "",
    field: str = "",
) -> Note:
    return Note(
        field=field or e.kind_of(event),
        event=word,
        severity=severity,
        subject=f"{event.name} ({event.language})",
        detail=detail,
    )
