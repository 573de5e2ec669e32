"""Labels of Meta's template statuses, qualities and categories."""

from __future__ import annotations

from flask_babel import LazyString
from flask_babel import lazy_gettext as _l

from chatbot.message_templates.prices import PriceCategory

# Status of Meta → tone and name of its badge.
STATUSES: dict[str, tuple[str, LazyString]] = {
    "APPROVED": ("ok", _l("Approved")),
    "PENDING": ("info", _l("In review")),
    "IN_APPEAL": ("info", _l("Under appeal")),
    "REJECTED": ("bad", _l("Rejected")),
    "PAUSED": ("warn", _l("Paused by Meta")),
    "DISABLED": ("bad", _l("Disabled by Meta")),
    "DELETED": ("idle", _l("Deleted")),
    "PENDING_DELETION": ("idle", _l("Being deleted")),
    "LIMIT_EXCEEDED": ("warn", _l("Over Meta's limit")),
    "ARCHIVED": ("idle", _l("Archived")),
}
QUALITIES: dict[str, tuple[str, LazyString]] = {
    "GREEN": ("ok", _l("good quality")),
    "YELLOW": ("warn", _l("falling quality")),
    "RED": ("bad", _l("bad quality")),
}
CATEGORIES: dict[str, LazyString] = {
    PriceCategory.MARKETING: _l("marketing"),
    PriceCategory.UTILITY: _l("utility"),
    PriceCategory.AUTHENTICATION: _l("authentication"),
    PriceCategory.SERVICE: _l("free text (service)"),
}
BUTTON_ICONS = {
    "QUICK_REPLY": "reply",
    "URL": "link-45deg",
    "PHONE_NUMBER": "telephone",
    "COPY_CODE": "clipboard",
    "OTP": "clipboard",
    "VOICE_CALL": "telephone",
    "FLOW": "list-check",
}
MEDIA_ICONS = {"image": "image", "video": "play-fill", "document": "file-earmark-text",
               "location": "geo-alt"}  # fmt: skip
MEDIA: dict[str, LazyString] = {
    "image": _l("Image"),
    "video": _l("Video"),
    "document": _l("Document"),
    "location": _l("Location"),
}


# Parts of templates that we can't fill, by Meta's name.
PARTS: dict[str, LazyString] = {
    "CAROUSEL": _l("carousel of cards"),
    "LIMITED_TIME_OFFER": _l("limited-time offer"),
    "TAP_TARGET_CONFIGURATION": _l("tap target"),
    "GIF": _l("GIF header"),
    "PRODUCT": _l("product header"),
    "FLOW": _l("form button"),
    "CATALOG": _l("catalog button"),
    "MPM": _l("button of several products"),
    "SPM": _l("button of one product"),
    "APP": _l("app button"),
    "ORDER_DETAILS": _l("payment button"),
    "BOOKING_CONFIRMATION": _l("booking button"),
    "REMINDER": _l("reminder button"),
}


def get_part_label(part: str) -> str:
    """Return a part's name in words with Meta's, by which it is found in WhatsApp Manager."""
    return f"{PARTS[part]} ({part})" if part in PARTS else part


def get_status_badge(status: str) -> tuple[str, str]:
    """Return tone and name; an unknown status of Meta is shown as it is."""
    tone, name = STATUSES.get(status, ("idle", status))
    return tone, str(name)


def get_quality_badge(quality: str) -> tuple[str, str] | None:
    """Return tone and name, or None while Meta has no rating."""
    known = QUALITIES.get(quality)
    return (known[0], str(known[1])) if known else None


def get_category_label(category: str) -> str:
    return str(CATEGORIES.get(category.lower(), category))
