"""Request bodies of the control API. Unknown fields are refused by name."""

from enum import StrEnum
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from chatbot.simulator.message_templates.store import (
    ParameterFormat,
    Quality,
    TemplateCategory,
    TemplateComponentDefinition,
    TemplateStatus,
)


class InboundKind(StrEnum):
    TEXT = "text"
    BUTTON = "button"
    BUTTON_REPLY = "button_reply"
    LIST_REPLY = "list_reply"
    IMAGE = "image"
    VIDEO = "video"
    AUDIO = "audio"
    DOCUMENT = "document"
    STICKER = "sticker"
    LOCATION = "location"
    CONTACTS = "contacts"
    REACTION = "reaction"
    UNSUPPORTED = "unsupported"
    RAW = "raw"


class InboundRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Customer's message; `timestamp` in Unix seconds, `id` to repeat a message."""

    number: str = msgspec.field(name="from")
    name: str = "Maria Souza"
    type: InboundKind = InboundKind.TEXT
    text: str = ""  # also the label of a button and the caption of a file
    payload: str = ""
    reply_id: str = ""
    title: str = ""
    description: str = ""
    context_id: str = ""
    media_id: str = ""  # of a file uploaded with POST /_sim/media
    voice: bool = False
    latitude: Annotated[float, Meta(ge=-90, le=90)] = 0.0
    longitude: Annotated[float, Meta(ge=-180, le=180)] = 0.0
    place: str = ""
    address: str = ""
    contact_name: str = ""
    contact_phone: str = ""
    message_id: str = ""  # target of a reaction
    emoji: str = ""  # empty removes the reaction
    referral: dict[str, object] = {}
    forwarded: bool = False
    message: dict[str, object] = {}
    id: str = ""
    timestamp: float = 0.0


class ResetRequest(msgspec.Struct, forbid_unknown_fields=True):
    keep_settings: bool = False


class MarkReadRequest(msgspec.Struct, forbid_unknown_fields=True):
    wa_id: str


class OutageRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Outage: webhooks are held back for so many seconds; 0 ends it."""

    seconds: Annotated[float, Meta(ge=0, le=86_400)]


class AdvanceClockRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Seconds by which the clock is set forward."""

    advance_s: Annotated[float, Meta(ge=0, le=86_400 * 400)]


class ScriptRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Outcomes of the next messages to a user; `faults.outcomes.parse_outcome` lists the names."""

    to: str
    outcomes: Annotated[list[str], Meta(max_length=1000)]


class WebhookRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Webhook to deliver; one with a `signature` other than `right` is not retried."""

    body: dict[str, object] | list[object] | str
    copies: Annotated[int, Meta(ge=1, le=100)] = 1
    signature: Literal["right", "wrong", "missing", "upper", "truncated"] = "right"


class TemplateChange(msgspec.Struct, forbid_unknown_fields=True):
    """New template with `components`, or new values of an existing one."""

    name: Annotated[str, Meta(min_length=1, max_length=512)]
    language: str = "pt_BR"
    status: TemplateStatus | None = None
    category: TemplateCategory | None = None
    quality: Quality | None = None
    parameter_format: ParameterFormat | None = None
    components: list[TemplateComponentDefinition] | None = None
    reason: str = ""
