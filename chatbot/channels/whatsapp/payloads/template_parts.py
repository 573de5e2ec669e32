"""Every kind of component, header and button that Meta's templates have, and whether we can fill it.

A template with a part that we can't fill would start, and Meta would refuse every message of it.
https://developers.facebook.com/docs/whatsapp/business-management-api/message-templates/components
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from chatbot.core.errors import InvalidInput

# True: we send it, with the values it needs or without any. False: it needs data that we don't have.
COMPONENT_TYPES: dict[str, bool] = {
    "HEADER": True,
    "BODY": True,
    "FOOTER": True,
    "BUTTONS": True,
    "CALL_PERMISSION_REQUEST": True,  # takes no value
    "CAROUSEL": False,
    "LIMITED_TIME_OFFER": False,
    "TAP_TARGET_CONFIGURATION": False,
}
HEADER_FORMATS: dict[str, bool] = {
    "TEXT": True,
    "IMAGE": True,
    "VIDEO": True,
    "DOCUMENT": True,
    "LOCATION": True,
    "GIF": False,
    "PRODUCT": False,
}
BUTTON_TYPES: dict[str, bool] = {
    "QUICK_REPLY": True,
    "URL": True,
    "PHONE_NUMBER": True,
    "COPY_CODE": True,
    "OTP": True,
    "VOICE_CALL": True,  # takes no value
    "REQUEST_CONTACT_INFO": True,  # takes no value
    "FLOW": False,
    "CATALOG": False,
    "MPM": False,
    "SPM": False,
    "APP": False,
    "ORDER_DETAILS": False,
    "BOOKING_CONFIRMATION": False,
    "REMINDER": False,
}

MAX_COUPON_CODE = 20
MAX_ONE_TIME_CODE = 15
_MAX_CODES = {"COPY_CODE": MAX_COUPON_CODE, "OTP": MAX_ONE_TIME_CODE}


def list_unfillable_parts(components: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return Meta's names of the parts that we can't fill, also of those that we don't know."""
    found: list[str] = []
    for component in components:
        kind = _name(component.get("type"))
        if not COMPONENT_TYPES.get(kind, False):
            found.append(kind)
        if kind == "HEADER":
            header_format = _name(component.get("format") or "TEXT")
            found += [] if HEADER_FORMATS.get(header_format, False) else [header_format]
        buttons = component.get("buttons") if kind == "BUTTONS" else None
        kinds = [_name(b.get("type")) for b in buttons or () if isinstance(b, Mapping)]
        found += [button for button in kinds if not BUTTON_TYPES.get(button, False)]
    return list(dict.fromkeys(found))


def _name(kind: object) -> str:
    return str(kind or "?").upper()[:40]


def check_button_value(kind: str, value: str) -> None:
    """Raise InvalidInput for a value that Meta refuses in a button of this type."""
    most = _MAX_CODES.get(kind)
    if most is not None and len(value.strip()) > most:
        raise InvalidInput(
            "The code of a button may have at most %(most)s characters; this one has %(length)s.",
            field="param",
            most=most,
            length=len(value.strip()),
        )
    if kind == "URL" and ("://" in value or value.strip().lower().startswith("www.")):
        raise InvalidInput(
            "The button has the beginning of the link already: enter only what comes after it, "
            "not a whole address.",
            field="param",
        )
