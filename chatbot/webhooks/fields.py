"""Management fields of a body, made typed events (section 7.5)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

from chatbot.webhooks import events as e
from chatbot.webhooks.senders import digits_of, number_of
from chatbot.webhooks.statuses import read_error
from chatbot.webhooks.values import dicts, first_text, inner, integer, text

MOST_NAME = 512  # characters of a template's name
MOST_WORD = 40

Reader = Callable[[Mapping[str, Any], dict[str, Any]], e.AccountEvent | None]


def read_field(
    name: str, account: str, value: Mapping[str, Any], at: datetime
) -> Iterator[e.AccountEvent]:
    """The event of a field; nothing for one without effect, or without what it is about."""
    reader = READERS.get(_true_name(name, value))
    if reader is not None:
        common = {"account": account, "display_phone": digits_of(value), "happened_at": at}
        event = reader(value, common)
        if event is not None:
            yield event


def _true_name(name: str, value: Mapping[str, Any]) -> str:
    """Meta's own example of a quality update bears the name of a status update: the keys tell."""
    if name == "message_template_status_update" and "new_quality_score" in value:
        return "message_template_quality_update"
    return name


def read_number_errors(
    account: str, value: Mapping[str, Any], at: datetime
) -> Iterator[e.ErrorReported]:
    for error in dicts(value.get("errors")):
        number, display_phone = number_of(value)
        code, detail = read_error([error])
        yield e.ErrorReported(
            account=account,
            display_phone=display_phone,
            happened_at=at,
            number=number,
            code=code or 0,
            detail=detail or "",
        )


def _template(value: Mapping[str, Any]) -> dict[str, Any] | None:
    """Language is printed `en-US` in some bodies and `pt_BR` in others (section 1.4)."""
    name = text(value.get("message_template_name"), MOST_NAME)
    language = text(value.get("message_template_language"), 15).replace("-", "_")
    return {"name": name, "language": language} if name else None


def _word(value: Mapping[str, Any], *names: str) -> str:
    return first_text(value, *names, most=MOST_WORD).upper()


def _template_status(value: Mapping[str, Any], common: dict[str, Any]) -> e.AccountEvent | None:
    template, event = _template(value), _word(value, "event")
    if template is None or not event:
        return None
    reason = text(value.get("reason"), 60)
    parts = (
        "" if reason.upper() == "NONE" else reason,
        first_text(inner(value, "other_info"), "title", "description"),
        first_text(inner(value, "disable_info"), "disable_date"),
        first_text(inner(value, "rejection_info"), "reason", "recommendation"),
    )
    detail = ", ".join(part for part in parts if part)[:400]
    return e.TemplateStatusChanged(**common, **template, event=event, detail=detail)


def _template_quality(value: Mapping[str, Any], common: dict[str, Any]) -> e.AccountEvent | None:
    template, quality = _template(value), _word(value, "new_quality_score")
    if template is None or not quality:
        return None
    return e.TemplateQualityChanged(**common, **template, quality=quality)


def _template_category(value: Mapping[str, Any], common: dict[str, Any]) -> e.AccountEvent | None:
    template = _template(value)
    present, coming = _word(value, "new_category"), _word(value, "correct_category")
    if template is None or not (present or coming):
        return None
    # With `correct_category` Meta announces a change that she will make later (section 7.2).
    is_notice = bool(coming)
    return e.TemplateCategoryChanged(
        **common, **template, category=coming or present, is_notice=is_notice
    )


def _template_components(value: Mapping[str, Any], common: dict[str, Any]) -> e.AccountEvent | None:
    template = _template(value)
    return e.TemplateComponentsChanged(**common, **template) if template else None


def _account(value: Mapping[str, Any], common: dict[str, Any]) -> e.AccountEvent:
    ban = inner(value, "ban_info")
    restrictions = tuple(
        name
        for item in dicts(value.get("restriction_info"))
        if (name := first_text(item, "restriction_type", most=60))
    )
    violation = first_text(inner(value, "violation_info"), "violation_type", most=60)
    parts = (*restrictions, violation, _word(ban, "waba_ban_state"), text(ban.get("waba_ban_date")))
    return e.AccountUpdated(
        **common,
        event=_word(value, "event") or "UNKNOWN",
        ban_state=_word(ban, "waba_ban_state"),
        restrictions=restrictions,
        detail=", ".join(part for part in parts if part)[:400],
    )


def _review(value: Mapping[str, Any], common: dict[str, Any]) -> e.AccountEvent:
    return e.AccountReviewed(**common, decision=_word(value, "decision") or "UNKNOWN")


def _alert(value: Mapping[str, Any], common: dict[str, Any]) -> e.AccountEvent:
    info = inner(value, "alert_info") or value
    return e.AccountAlerted(
        **common,
        severity=_word(info, "alert_severity"),
        alert=_word(info, "alert_type", "alert_status"),
        detail=first_text(info, "alert_description", most=400),
    )


def _capability(value: Mapping[str, Any], common: dict[str, Any]) -> e.AccountEvent | None:
    for name in ("max_daily_conversations_per_business", "max_daily_conversation_per_phone"):
        if name in value:
            is_known, limit = parse_limit(value[name])
            return e.CapabilityChanged(**common, daily_limit=limit) if is_known else None
    return None


def _number_quality(value: Mapping[str, Any], common: dict[str, Any]) -> e.AccountEvent:
    limit = first_text(value, "current_limit", "max_daily_conversations_per_business", most=20)
    return e.NumberQualityChanged(
        **common, event=_word(value, "event") or "UNKNOWN", limit=limit.upper()
    )


def _number_name(value: Mapping[str, Any], common: dict[str, Any]) -> e.AccountEvent:
    return e.NumberNameChanged(
        **common,
        decision=_word(value, "decision") or "UNKNOWN",
        name=text(value.get("requested_verified_name"), 200),
        detail=text(value.get("rejection_reason"), 200),
    )


def _security(value: Mapping[str, Any], common: dict[str, Any]) -> e.AccountEvent:
    return e.SecurityNoted(
        **common,
        event=_word(value, "event") or "UNKNOWN",
        requester=text(value.get("requester"), 100),
    )


def parse_limit(value: object) -> tuple[bool, int | None]:
    """Whether it says a limit, and which: TIER_2K is 2,000; TIER_UNLIMITED and -1 are None."""
    number = integer(value)
    if number is not None:
        return True, number if number >= 0 else None
    word = text(value).upper().removeprefix("TIER_")
    if word == "UNLIMITED":
        return True, None
    factor = 1000 if word.endswith("K") else 1
    digits = word.removesuffix("K")
    if digits.isdecimal() and len(digits) < 7:
        return True, int(digits) * factor
    return False, None


READERS: dict[str, Reader] = {
    "message_template_status_update": _template_status,
    "message_template_quality_update": _template_quality,
    "message_template_components_update": _template_components,
    "template_category_update": _template_category,
    "account_update": _account,
    "account_review_update": _review,
    "account_alerts": _alert,
    "business_capability_update": _capability,
    "phone_number_quality_update": _number_quality,
    "phone_number_name_update": _number_name,
    "security": _security,
}
