"""Descriptions of account events for the channel's page, with their severity."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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
_SEVERITY_BY_ACCOUNT_EVENT = {
    "ACCOUNT_DELETED": BAD,
    "ACCOUNT_RESTRICTION": BAD,
    "DISABLED_UPDATE": BAD,
    "ACCOUNT_OFFBOARDED": BAD,
    "ACCOUNT_VIOLATION": WARN,
}
_SEVERITY_BY_TEMPLATE_EVENT = {
    "APPROVED": INFO,
    "REINSTATED": INFO,
    "UNPAUSED": INFO,
    "PENDING": INFO,
    "IN_APPEAL": INFO,
    "DISABLED": BAD,
    "REJECTED": BAD,
    "PAUSED": BAD,
}
_SEVERITY_BY_TEMPLATE_QUALITY = {"GREEN": INFO, "YELLOW": WARN, "RED": BAD}
_SEVERITY_BY_NUMBER_EVENT = {"FLAGGED": BAD, "DOWNGRADE": WARN}
_SEVERITY_BY_DECISION = {"REJECTED": WARN}
_SEVERITY_BY_ALERT = {"CRITICAL": BAD, "HIGH": BAD, "WARNING": WARN, "MEDIUM": WARN}
_SEVERITY_BY_POLICY = {ErrorPolicy.TOKEN: BAD, ErrorPolicy.STOP: BAD}

TemplateEvent = (
    e.TemplateStatusChanged
    | e.TemplateQualityChanged
    | e.TemplateCategoryChanged
    | e.TemplateComponentsChanged
)


def describe_account_event(event: e.AccountEvent) -> NewChannelEvent:
    return DESCRIPTIONS[type(event)](event)


def _describe(
    event: e.AccountEvent, code: str, severity: Severity, detail: str = "", subject: str = ""
) -> NewChannelEvent:
    return NewChannelEvent(
        field=e.get_event_kind(event), event=code, severity=severity, subject=subject, detail=detail
    )


def _describe_template(
    event: TemplateEvent, code: str, severity: Severity, detail: str = "", field: str = ""
) -> NewChannelEvent:
    return NewChannelEvent(
        field=field or e.get_event_kind(event),
        event=code,
        severity=severity,
        subject=f"{event.name} ({event.language})",
        detail=detail,
    )


def _describe_template_status(event: e.TemplateStatusChanged) -> NewChannelEvent:
    severity = _SEVERITY_BY_TEMPLATE_EVENT.get(event.event, WARN)
    return _describe_template(event, event.event, severity, event.detail)


def _describe_template_quality(event: e.TemplateQualityChanged) -> NewChannelEvent:
    severity = _SEVERITY_BY_TEMPLATE_QUALITY.get(event.quality, INFO)
    return _describe_template(event, event.quality, severity)


def _describe_template_category(event: e.TemplateCategoryChanged) -> NewChannelEvent:
    # A field of its own for the notice: a later notice must not make an earlier change look outdated.
    field = "template_category_notice" if event.is_notice else "template_category"
    return _describe_template(event, event.category, WARN, field=field)


def _describe_template_components(event: e.TemplateComponentsChanged) -> NewChannelEvent:
    return _describe_template(event, "CHANGED", INFO)


def _describe_account_update(event: e.AccountUpdated) -> NewChannelEvent:
    severity = _SEVERITY_BY_ACCOUNT_EVENT.get(event.event, INFO)
    if severity is BAD and event.ban_state == "REINSTATE":
        severity = INFO
    # Events that set the account's state share one subject, so that the latest of them wins.
    sets_state = event.ban_state in ACCOUNT_STATE_BY_BAN or event.event in ACCOUNT_STATE_BY_EVENT
    return _describe(
        event, event.event, severity, event.detail, subject="" if sets_state else event.event
    )


def _describe_account_review(event: e.AccountReviewed) -> NewChannelEvent:
    return _describe(event, event.decision, _SEVERITY_BY_DECISION.get(event.decision, INFO))


def _describe_account_alert(event: e.AccountAlerted) -> NewChannelEvent:
    severity = _SEVERITY_BY_ALERT.get(event.severity, INFO)
    return _describe(event, event.alert, severity, event.detail, subject=event.alert)


def _describe_capability(event: e.CapabilityChanged) -> NewChannelEvent:
    limit = "unlimited" if event.daily_limit is None else str(event.daily_limit)
    return _describe(event, "LIMIT", INFO, limit)


def _describe_number_quality(event: e.NumberQualityChanged) -> NewChannelEvent:
    severity = _SEVERITY_BY_NUMBER_EVENT.get(event.event, INFO)
    return _describe(event, event.event, severity, event.limit)


def _describe_number_name(event: e.NumberNameChanged) -> NewChannelEvent:
    severity = _SEVERITY_BY_DECISION.get(event.decision, INFO)
    detail = ", ".join(part for part in (event.name, event.detail) if part)
    return _describe(event, event.decision, severity, detail)


def _describe_security(event: e.SecurityChanged) -> NewChannelEvent:
    return _describe(event, event.event, BAD, event.requester)


def _describe_error(event: e.ErrorReported) -> NewChannelEvent:
    code = str(event.code)
    severity = _SEVERITY_BY_POLICY.get(get_error_policy(event.code), WARN)
    return _describe(event, code, severity, event.detail, subject=code)


DESCRIPTIONS: dict[type, Callable[[Any], NewChannelEvent]] = {
    e.TemplateStatusChanged: _describe_template_status,
    e.TemplateQualityChanged: _describe_template_quality,
    e.TemplateCategoryChanged: _describe_template_category,
    e.TemplateComponentsChanged: _describe_template_components,
    e.AccountUpdated: _describe_account_update,
    e.AccountReviewed: _describe_account_review,
    e.AccountAlerted: _describe_account_alert,
    e.CapabilityChanged: _describe_capability,
    e.NumberQualityChanged: _describe_number_quality,
    e.NumberNameChanged: _describe_number_name,
    e.SecurityChanged: _describe_security,
    e.ErrorReported: _describe_error,
}
