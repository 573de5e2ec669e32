"""Labels of the states of outbound messages."""

from __future__ import annotations

from flask_babel import LazyString
from flask_babel import lazy_gettext as _l

from chatbot.delivery.models import MessageState

STATE_LABELS: dict[str, LazyString] = {
    MessageState.QUEUED: _l("Waiting to be sent"),
    MessageState.SENDING: _l("Being sent"),
    MessageState.ACCEPTED: _l("Handed to WhatsApp"),
    MessageState.SENT: _l("Sent"),
    MessageState.DELIVERED: _l("Delivered"),
    MessageState.READ: _l("Read"),
    MessageState.FAILED: _l("Failed"),
    MessageState.SKIPPED: _l("Not sent"),
    MessageState.UNKNOWN: _l("In doubt"),
}
