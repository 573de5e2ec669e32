"""Words for the states of messages on their way out."""

from __future__ import annotations

from flask_babel import LazyString
from flask_babel import lazy_gettext as _l

from chatbot.delivery.states import MessageState

STATE_LABELS: dict[str, LazyString] = {
    MessageState.QUEUED: _l("Waits to be sent"),
    MessageState.SENDING: _l("Is being sent"),
    MessageState.ACCEPTED: _l("Handed to WhatsApp"),
    MessageState.SENT: _l("Sent"),
    MessageState.DELIVERED: _l("Delivered"),
    MessageState.READ: _l("Read"),
    MessageState.FAILED: _l("Failed"),
    MessageState.SKIPPED: _l("Not sent"),
    MessageState.UNKNOWN: _l("In doubt"),
}
