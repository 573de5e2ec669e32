"""Complete requests: a message body with its recipient, or a read receipt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def render_request(body: Mapping[str, Any], to: str, callback_id: str) -> dict[str, Any]:
    """Build the request for a recipient: a WhatsApp id or phone, or a user id without a phone."""
    recipient = {"recipient": to} if to[:2].isalpha() else {"to": to}
    return {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        **recipient,
        **body,
        "biz_opaque_callback_data": callback_id,
    }


def render_read_receipt(wamid: str, *, typing: bool = False) -> dict[str, Any]:
    """Build a receipt that marks a message, and those before it, as read.

    `typing` shows the typing indicator for 25 s or until we answer.
    """
    request: dict[str, Any] = {
        "messaging_product": "whatsapp",
        "status": "read",
        "message_id": wamid,
    }
    return request | ({"typing_indicator": {"type": "text"}} if typing else {})
