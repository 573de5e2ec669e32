"""Parser of the management fields of a body: events of templates, the account and its numbers.

Meta's shapes: https://developers.facebook.com/docs/graph-api/webhooks/reference/whatsapp-business-account/
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

from chatbot.webhooks import events as e
from chatbot.webhooks.parsing.sender_identity import parse_display_phone, parse_number
from chatbot.webhooks.parsing.statuses import parse_error
from chatbot.webhooks.parsing.values import (
    first_text,
    get_object,
    iter_objects,
    to_integer,
    to_text,
)

MAX_TEMPLATE_NAME = 512  # characters of a template's name
MAX_CODE_LENGTH = 40

FieldParser = Callable[[Mapping[str, Any], dict[str, Any]], e.AccountEvent | None]


def parse_account_field(
    name: str, account: str, value: Mapping[str, Any], at: datetime
) -> Iterator[e.AccountEvent]:
    """Yield the event of a field; nothing if the field is unknown or its required keys are missing."""
    parser = FIELD_PARSERS.get(_correct_field_name(name, value))
    if parser is not None:
        common = {
            "account": account,
            "display_phone": parse_display_phone(value),
            "happened_at": at,
        }
        event = parser(value, common)
        if event is not None:
            yield event


def _correct_field_name(name: str, value: Mapping[str, Any]) -> str:
    """Detect a quality update by its keys: Meta's own example has the name of a status update."""
    if name == "message_template_status_update" and "new_quality_score" in value:
        return "message_template_quality_update"
    return name


def parse_number_errors(
    account: str, value: Mapping[str, Any], at: datetime
) -> Iterator[e.ErrorReported]:
    for error in iter_objects(value.get("errors")):
        number, display_phone = parse_number(value)
        code, detail = parse_error([error])
        yield e.ErrorReported(
            account=account,
            display_phone=display_phone,
            happened_at=at,
            number=number,
            code=code or 0,
            detail=detail or "",
        )


def _parse_template_key(value: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return name and language. The language is `en-US` in some bodies and `pt_BR` in others."""
    name = to_text(value.get("message_template_name"), MAX_TEMPLATE_NAME)
    language = to_text(value.get("message_template_language"), 15).replace("-", "_")
    return {"name": name, "language": language} if name else None


def _parse_code(value: Mapping[str, Any], *names: str) -> str:
    return first_text(value, *names, max_length=MAX_CODE_LENGTH).upper()


def _parse_template_status(
    value: Mapping[str, Any], common: dict[str, Any]
) -> e.AccountEvent | None:
    template, event = _parse_template_key(value), _parse_code(value, "event")
    if template is None or not event:
        return None
    reason = to_text(value.get("reason"), 60)
    parts = (
        "" if reason.upper() == "NONE" else reason,
        first_text(get_object(value, "other_info"), "title", "description"),
        first_text(get_object(value, "disable_info"), "disable_date"),
        first_text(get_object(value, "rejection_info"), "reason", "recommendation"),
    )
    detail = ", ".join(part for part in parts if part)[:400]
    return e.TemplateStatusChanged(**common, **template, event=event, detail=detail)


def _parse_template_quality(
    value: Mapping[str, Any], common: dict[str, Any]
) -> e.AccountEvent | None:
    template, quality = _parse_template_key(value), _parse_code(value, "new_quality_score")
    if template is None or not quality:
        return None
    return e.TemplateQualityChanged(**common, **template, quality=quality)


def _parse_template_category(
    value: Mapping[str, Any], common: dict[str, Any]
) -> e.AccountEvent | None:
    template = _parse_template_key(value)
    present, coming = _parse_code(value, "new_category"), _parse_code(value, "correct_category")
    if template is None or not (present or coming):
        return None
    # With `correct_category` Meta announces a change that it will make later.
    is_notice = bool(coming)
    return e.TemplateCategoryChanged(
        **common, **template, category=coming or present, is_notice=is_notice
    )


def _parse_template_components(
    value: Mapping[str, Any], common: dict[str, Any]
) -> e.AccountEvent | None:
    template = _parse_template_key(value)
    return e.TemplateComponentsChanged(**common, **template) if template else None


def _parse_account_update(value: Mapping[str, Any], common: dict[str, Any]) -> e.AccountEvent:
    ban = get_object(value, "ban_info")
    restrictions = tuple(
        name
        for item in iter_objects(value.get("restriction_info"))
        if (name := first_text(item, "restriction_type", max_length=60))
    )
    violation = first_text(get_object(value, "violation_info"), "violation_type", max_length=60)
    parts = (
        *restrictions,
        violation,
        _parse_code(ban, "waba_ban_state"),
        to_text(ban.get("waba_ban_date")),
    )
    return e.AccountUpdated(
        **common,
        event=_parse_code(value, "event") or "UNKNOWN",
        ban_state=_parse_code(ban, "waba_ban_state"),
        restrictions=restrictions,
        detail=", ".join(part for part in parts if part)[:400],
    )


def _parse_account_review(value: Mapping[str, Any], common: dict[str, Any]) -> e.AccountEvent:
    return e.AccountReviewed(**common, decision=_parse_code(value, "decision") or "UNKNOWN")


def _parse_account_alert(value: Mapping[str, Any], common: dict[str, Any]) -> e.AccountEvent:
    info = get_object(value, "alert_info") or value
    return e.AccountAlerted(
        **common,
        severity=_parse_code(info, "alert_severity"),
        alert=_parse_code(info, "alert_type", "alert_status"),
        detail=first_text(info, "alert_description", max_length=400),
    )


def _parse_capability(value: Mapping[str, Any], common: dict[str, Any]) -> e.AccountEvent | None:
    for name in ("max_daily_conversations_per_business", "max_daily_conversation_per_phone"):
        if name in value:
            is_known, limit = parse_daily_limit(value[name])
            return e.CapabilityChanged(**common, daily_limit=limit) if is_known else None
    return None


def _parse_number_quality(value: Mapping[str, Any], common: dict[str, Any]) -> e.AccountEvent:
    limit = first_text(
        value, "current_limit", "max_daily_conversations_per_business", max_length=20
    )
    return e.NumberQualityChanged(
        **common, event=_parse_code(value, "event") or "UNKNOWN", limit=limit.upper()
    )


def _parse_number_name(value: Mapping[str, Any], common: dict[str, Any]) -> e.AccountEvent:
    return e.NumberNameChanged(
        **common,
        decision=_parse_code(value, "decision") or "UNKNOWN",
        name=to_text(value.get("requested_verified_name"), 200),
        detail=to_text(value.get("rejection_reason"), 200),
    )


def _parse_security(value: Mapping[str, Any], common: dict[str, Any]) -> e.AccountEvent:
    return e.SecurityChanged(
        **common,
        event=_parse_code(value, "event") or "UNKNOWN",
        requester=to_text(value.get("requester"), 100),
    )


def parse_daily_limit(value: object) -> tuple[bool, int | None]:
    """Return whether `value` is a limit, and its number: TIER_2K is 2000; TIER_UNLIMITED and -1 None."""
    number = to_integer(value)
    if number is not None:
        return True, number if number >= 0 else None
    tier = to_text(value).upper().removeprefix("TIER_")
    if tier == "UNLIMITED":
        return True, None
    factor = 1000 if tier.endswith("K") else 1
    digits = tier.removesuffix("K")
    if digits.isdecimal() and len(digits) < 7:
        return True, int(digits) * factor
    return False, None


FIELD_PARSERS: dict[str, FieldParser] = {
    "message_template_status_update": _parse_template_status,
    "message_template_quality_update": _parse_template_quality,
    "message_template_components_update": _parse_template_components,
    "template_category_update": _parse_template_category,
    "account_update": _parse_account_update,
    "account_review_update": _parse_account_review,
    "account_alerts": _parse_account_alert,
    "business_capability_update": _parse_capability,
    "phone_number_quality_update": _parse_number_quality,
    "phone_number_name_update": _parse_number_name,
    "security": _parse_security,
}
