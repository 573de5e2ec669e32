"""What makes a body a whole request: whom it is for, or which message it marks as read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def render_request(body: Mapping[str, Any], to: str, callback_id: str) -> dict[str, Any]:
    """The whole request for one recipient: a WhatsApp id or phone, or a user id without a phone."""
    who = {"recipient": to} if to[:2].isalpha() else {"to": to}
    return {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        **who,
        **body,
        "biz_opaque_callback_data": callback_id,
    }


def render_read_receipt(wamid: str, *, typing: bool = False) -> dict[str, Any]:
    """Marks a message, and those before it, as read; `typing` shows for 25 s or until we answer."""
    request: dict[str, Any] = {
        "messaging_product": "whatsapp",
        "status": "read",
        "message_id": wamid,
    }
    return request | ({"typing_indicator": {"type": "text"}} if typing else {})
