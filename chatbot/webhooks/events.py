"""Types of events that a webhook can hold: the parser builds them, and the pipelines apply them.

They are stored as JSON while they wait in a queue, where `kind` holds their tag. Meta's shapes:
https://developers.facebook.com/docs/whatsapp/cloud-api/webhooks/components
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from chatbot.contacts.service import SenderIdentity
from chatbot.conversations.inbound import InboundMessage
from chatbot.delivery.receipts import Receipt


class _Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", omit_defaults=True):
    pass


class _ContactEvent(_Event, frozen=True, kw_only=True):
    """Event about one person and one of our numbers.

    `number` is Meta's phone_number_id; it is empty where a body names only the account (WABA).
    """

    number: str
    account: str = ""


class MessageReceived(_ContactEvent, frozen=True, kw_only=True, tag="message"):
    """Message of a person to our number."""

    display_phone: str = ""
    sender: SenderIdentity
    message: InboundMessage


class IdentityChanged(_ContactEvent, frozen=True, kw_only=True, tag="identity"):
    """Change of a person's identity from `old` to `new`; `message` records it in the conversation."""

    old: SenderIdentity
    new: SenderIdentity
    happened_at: datetime
    message: InboundMessage | None = None


class PreferenceChanged(_ContactEvent, frozen=True, kw_only=True, tag="preference"):
    """Stop or resumption of marketing that a person chose in WhatsApp itself (`user_preferences`)."""

    sender: SenderIdentity
    wants_marketing: bool
    detail: str = ""
    happened_at: datetime


class StatusReceived(_Event, frozen=True, kw_only=True, tag="status"):
    """Status of one message, with the ids of the recipient that it names.

    `number` is the phone_number_id that sent the message, `display_phone` its digits, `account` its WABA.
    """

    receipt: Receipt
    number: str = ""
    display_phone: str = ""
    account: str = ""
    wa_id: str = ""
    bsuid: str = ""


class _AccountEvent(_Event, frozen=True, kw_only=True):
    """Event about an account (`account` is the WABA's id) or one of its numbers, not about a person."""

    account: str
    display_phone: str = ""
    happened_at: datetime


class TemplateStatusChanged(_AccountEvent, frozen=True, kw_only=True, tag="template_status"):
    name: str
    language: str
    event: str
    detail: str = ""


class TemplateQualityChanged(_AccountEvent, frozen=True, kw_only=True, tag="template_quality"):
    name: str
    language: str
    quality: str


class TemplateCategoryChanged(_AccountEvent, frozen=True, kw_only=True, tag="template_category"):
    """Change of a template's category. `is_notice`: Meta announces it for later."""

    name: str
    language: str
    category: str
    is_notice: bool = False


class TemplateComponentsChanged(
    _AccountEvent, frozen=True, kw_only=True, tag="template_components"
):
    name: str
    language: str


class AccountUpdated(_AccountEvent, frozen=True, kw_only=True, tag="account"):
    event: str
    ban_state: str = ""
    restrictions: tuple[str, ...] = ()
    detail: str = ""


class AccountReviewed(_AccountEvent, frozen=True, kw_only=True, tag="account_review"):
    decision: str


class AccountAlerted(_AccountEvent, frozen=True, kw_only=True, tag="account_alert"):
    severity: str = ""
    alert: str = ""
    detail: str = ""


class CapabilityChanged(_AccountEvent, frozen=True, kw_only=True, tag="capability"):
    """Change of the number of people who may be messaged first in 24 hours; None: no limit."""

    daily_limit: int | None = None


class NumberQualityChanged(_AccountEvent, frozen=True, kw_only=True, tag="number_quality"):
    """Change of a number's quality. `limit` is TIER_10K and the like, or empty if it is not given."""

    event: str
    limit: str = ""


class NumberNameChanged(_AccountEvent, frozen=True, kw_only=True, tag="number_name"):
    decision: str
    name: str = ""
    detail: str = ""


class SecurityChanged(_AccountEvent, frozen=True, kw_only=True, tag="security"):
    event: str
    requester: str = ""


class ErrorReported(_AccountEvent, frozen=True, kw_only=True, tag="error"):
    """Error that belongs to no message (`value.errors`)."""

    number: str = ""
    code: int = 0
    detail: str = ""


AccountEvent = (
    TemplateStatusChanged
    | TemplateQualityChanged
    | TemplateCategoryChanged
    | TemplateComponentsChanged
    | AccountUpdated
    | AccountReviewed
    | AccountAlerted
    | CapabilityChanged
    | NumberQualityChanged
    | NumberNameChanged
    | SecurityChanged
    | ErrorReported
)
ContactEvent = MessageReceived | IdentityChanged | PreferenceChanged
Event = ContactEvent | StatusReceived | AccountEvent

_decoder = msgspec.json.Decoder(Event)
_encoder = msgspec.json.Encoder()


def get_event_kind(event: Event) -> str:
    return str(event.__struct_config__.tag)


def encode_event(event: Event) -> str:
    """Encode as JSON text, whose escapes keep characters that an SQL text column rejects."""
    return _encoder.encode(event).decode()


def decode_event(stored: str) -> Event:
    """Decode a stored event. Raises msgspec.MsgspecError for one that an older version stored."""
    event: Event = _decoder.decode(stored)
    return event
