"""Each event of an account as one line of the channel's page, and how much it matters."""

from __future__ import annotations

from chatbot.channels.events import NewChannelEvent
from chatbot.channels.models import AccountState, Severity
from chatbot.channels.whatsapp.errors import ErrorPolicy, get_error_policy
from chatbot.webhooks import events as e

INFO, WARN, BAD = Severity.INFO, Severity.WARN, Severity.BAD

ACCOUNT_STATE_BY_BAN = {
    "DISABLE": AccountState.DISABLED,
    "SCHEDULE_FOR_DISABLE": AccountState.RESTRICTED,
    "REINSTATE": AccountState.ACTIVE,
}
ACCOUNT_STATE_BY_EVENT = {
    "ACCOUNT_DELETED": AccountState.DELETED,
    "ACCOUNT_RESTRICTION": AccountState.RESTRICTED,
    "ACCOUNT_OFFBOARDED": AccountState.DISABLED,
    "ACCOUNT_RECONNECTED": AccountState.ACTIVE,
}
_SEVERE_ACCOUNT_EVENTS = frozenset({"ACCOUNT_DELETED", "ACCOUNT_RESTRICTION", "DISABLED_UPDATE",
                          "ACCOUNT_OFFBOARDED"})  # fmt: skip
_HARMLESS_TEMPLATE_EVENTS = frozenset(
    {"APPROVED", "REINSTATED", "UNPAUSED", "PENDING", "IN_APPEAL"}
)
_SEVERE_TEMPLATE_EVENTS = frozenset({"DISABLED", "REJECTED", "PAUSED"})
_SEVERITY_BY_QUALITY = {"GREEN": INFO, "YELLOW": WARN, "RED": BAD}
_SEVERITY_BY_ALERT = {"CRITICAL": BAD, "HIGH": BAD, "WARNING": WARN, "MEDIUM": WARN}
_SEVERE_REACTIONS = frozenset({ErrorPolicy.TOKEN, ErrorPolicy.STOP})


def describe_account_event(event: e.AccountEvent) -> NewChannelEvent:
    match event:
        case e.TemplateStatusChanged():
            code = event.event
            severity = (
                BAD
                if code in _SEVERE_TEMPLATE_EVENTS
                else INFO
                if code in _HARMLESS_TEMPLATE_EVENTS
                else WARN
            )
            return _build_template_note(event, code, severity, event.detail)
        case e.TemplateQualityChanged():
            return _build_template_note(
                event, event.quality, _SEVERITY_BY_QUALITY.get(event.quality, INFO)
            )
        case e.TemplateCategoryChanged():
            # A notice and the change are two subjects: the one does not overtake the other.
            field = "template_category_notice" if event.is_notice else "template_category"
            return _build_template_note(event, event.category, WARN, field=field)
        case e.TemplateComponentsChanged():
            return _build_template_note(event, "CHANGED", INFO)
        case e.AccountUpdated():
            is_back = event.ban_state == "REINSTATE"
            severity = BAD if event.event in _SEVERE_ACCOUNT_EVENTS and not is_back else INFO
            severity = WARN if event.event == "ACCOUNT_VIOLATION" else severity
            # Only what changes the account's state competes for it.
            has_state = (
                event.ban_state in ACCOUNT_STATE_BY_BAN or event.event in ACCOUNT_STATE_BY_EVENT
            )
            subject = "" if has_state else event.event
            return _build_note(event, event.event, severity, event.detail, subject=subject)
        case e.AccountReviewed():
            return _build_note(
                event, event.decision, WARN if event.decision == "REJECTED" else INFO
            )
        case e.AccountAlerted():
            severity = _SEVERITY_BY_ALERT.get(event.severity, INFO)
            return _build_note(event, event.alert, severity, event.detail, subject=event.alert)
        case e.CapabilityChanged():
            limit = "unlimited" if event.daily_limit is None else str(event.daily_limit)
            return _build_note(event, "LIMIT", INFO, limit)
        case e.NumberQualityChanged():
            severity = BAD if event.event == "FLAGGED" else INFO
            severity = WARN if event.event == "DOWNGRADE" else severity
            return _build_note(event, event.event, severity, event.limit)
        case e.NumberNameChanged():
            severity = WARN if event.decision == "REJECTED" else INFO
            detail = ", ".join(part for part in (event.name, event.detail) if part)
            return _build_note(event, event.decision, severity, detail)
        case e.SecurityChanged():
            return _build_note(event, event.event, BAD, event.requester)
        case e.ErrorReported():
            severity = BAD if get_error_policy(event.code) in _SEVERE_REACTIONS else WARN
            return _build_note(
                event, str(event.code), severity, event.detail, subject=str(event.code)
            )


def _build_note(
    event: e.AccountEvent, code: str, severity: Severity, detail: str = "", subject: str = ""
) -> NewChannelEvent:
    return NewChannelEvent(
        field=e.get_event_kind(event), event=code, severity=severity, subject=subject, detail=detail
    )


def _build_template_note(
    event: e.TemplateStatusChanged
    | e.TemplateQualityChanged
    | e.TemplateCategoryChanged
    | e.TemplateComponentsChanged,
    code: str,
    severity: Severity,
    detail: str = "",
    field: str = "",
) -> NewChannelEvent:
    return NewChannelEvent(
        field=field or e.get_event_kind(event),
        event=code,
        severity=severity,
        subject=f"{event.name} ({event.language})",
        detail=detail,
    )
