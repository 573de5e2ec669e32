"""One status of a body, made a typed event (section 3), and the errors that bodies carry."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from chatbot.delivery.callback import parse_callback_id
from chatbot.delivery.receipts import Receipt
from chatbot.delivery.states import STATE_OF_STATUS, State
from chatbot.webhooks.events import StatusReceived
from chatbot.webhooks.senders import is_user_id
from chatbot.webhooks.values import (
    MOST_ID,
    UnreadableUpdate,
    dicts,
    first_text,
    inner,
    integer,
    moment,
    text,
)


def read_status(status: Mapping[str, Any], received_at: datetime) -> StatusReceived | None:
    """None for a status that proves nothing we know. Raises UnreadableUpdate: it names no message."""
    wamid = text(status.get("id"))
    if not wamid or len(wamid) > MOST_ID:
        raise UnreadableUpdate("the status names no message")
    state = STATE_OF_STATUS.get(text(status.get("status")).lower())
    if state is None or text(status.get("recipient_type")) == "group":
        return None
    code, detail = read_error(status.get("errors")) if state is State.FAILED else (None, None)
    recipient = text(status.get("recipient_id"), 80)
    receipt = Receipt(
        wamid=wamid,
        state=state,
        happened_at=moment(status.get("timestamp"), received_at),
        callback=parse_callback_id(status.get("biz_opaque_callback_data")),
        error_code=code,
        error_detail=detail,
    )
    return StatusReceived(
        receipt=receipt,
        wa_id="" if is_user_id(recipient) else recipient,
        bsuid=text(status.get("recipient_user_id"), 160),
    )


def read_error(errors: object) -> tuple[int | None, str | None]:
    """The useful text is in `error_data.details` (section 3)."""
    for error in dicts(errors):
        details = first_text(inner(error, "error_data"), "details")
        detail = details or first_text(error, "title", "message")
        return integer(error.get("code")), detail[:500]
    return None, None
