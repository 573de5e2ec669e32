"""Parser of one status of a body, and of error objects.

Meta's shapes: https://developers.facebook.com/docs/whatsapp/cloud-api/webhooks/reference/messages/status
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from chatbot.delivery.models import STATE_BY_META_STATUS, MessageState
from chatbot.delivery.outbound import parse_callback_id
from chatbot.delivery.receipts import Receipt
from chatbot.webhooks.events import StatusReceived
from chatbot.webhooks.parsing.sender_identity import is_user_id, parse_number
from chatbot.webhooks.parsing.values import (
    MAX_ID_LENGTH,
    UnreadableUpdate,
    first_text,
    get_object,
    iter_objects,
    parse_timestamp,
    to_integer,
    to_text,
)


def parse_status(
    account: str, value: Mapping[str, Any], status: Mapping[str, Any], received_at: datetime
) -> StatusReceived | None:
    """Parse a status; None if it is unknown or of a group. Raises UnreadableUpdate without an id."""
    wamid = to_text(status.get("id"))
    if not wamid or len(wamid) > MAX_ID_LENGTH:
        raise UnreadableUpdate("the status names no message")
    state = STATE_BY_META_STATUS.get(to_text(status.get("status")).lower())
    if state is None or to_text(status.get("recipient_type")) == "group":
        return None
    code, detail = (
        parse_error(status.get("errors")) if state is MessageState.FAILED else (None, None)
    )
    recipient = to_text(status.get("recipient_id"), 80)
    receipt = Receipt(
        wamid=wamid,
        state=state,
        happened_at=parse_timestamp(status.get("timestamp"), received_at),
        callback=parse_callback_id(status.get("biz_opaque_callback_data")),
        error_code=code,
        error_detail=detail,
    )
    number, display_phone = parse_number(value)
    return StatusReceived(
        receipt=receipt,
        number=number,
        display_phone=display_phone,
        account=account,
        wa_id="" if is_user_id(recipient) else recipient,
        bsuid=to_text(status.get("recipient_user_id"), 160),
    )


def parse_error(errors: object) -> tuple[int | None, str | None]:
    """Return code and text of the first error. The useful text is in `error_data.details`."""
    for error in iter_objects(errors):
        details = first_text(get_object(error, "error_data"), "details")
        detail = details or first_text(error, "title", "message")
        return to_integer(error.get("code")), detail[:500]
    return None, None
