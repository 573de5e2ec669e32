"""What a webhook can say, as types: everything to the right of the splitter works with these.

They are stored as JSON while they wait; `tag` names the kind there. Sections are those of
whatsapp_cloud_api.md.
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
    """About one person and one of our numbers: `number` is Meta's phone_number_id, empty where a body
    names only the account (WABA)."""

    number: str
    account: str = ""


class MessageReceived(_ContactEvent, frozen=True, kw_only=True, tag="message"):
    """A person wrote to our number (section 2)."""

    display_phone: str = ""
    sender: SenderIdentity
    message: InboundMessage


class IdentityChanged(_ContactEvent, frozen=True, kw_only=True, tag="identity"):
    """The person known as `old` is `new` from now on (section 2.3); `message` says so in the thread."""

    old: SenderIdentity
    new: SenderIdentity
    happened_at: datetime
    message: InboundMessage | None = None


class PreferenceChanged(_ContactEvent, frozen=True, kw_only=True, tag="preference"):
    """Somebody stopped or resumed marketing in WhatsApp itself (section 7.4)."""

    sender: SenderIdentity
    wants_marketing: bool
    detail: str = ""
    happened_at: datetime


class StatusReceived(_Event, frozen=True, kw_only=True, tag="status"):
    """One status of one message (section 3), and by which ids it names the recipient."""

    receipt: Receipt
    wa_id: str = ""
    bsuid: str = ""


class _AccountEvent(_Event, frozen=True, kw_only=True):
    """About an account (`account` is the WABA's id) or one number of it, not about a person (7.5)."""

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
    """`is_notice`: Meta announces the change and has not made it yet."""

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
    """How many people a day may be written to first; None: as many as we like."""

    daily_limit: int | None = None


class NumberQualityChanged(_AccountEvent, frozen=True, kw_only=True, tag="number_quality"):
    """`limit` is TIER_10K and the like, or empty where the event says nothing of it."""

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
    """An error that belongs to no message (`value.errors`, section 1.4)."""

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
    """As JSON text, whose escapes keep what an SQL text can't hold."""
    return _encoder.encode(event).decode()


def decode_event(stored: str) -> Event:
    """Raises msgspec.MsgspecError for what an older version stored."""
    return _decoder.decode(stored)
