"""Request bodies of POST /messages, with the limits of Meta's message reference as types.

Lengths are counted in code points. Meta does not document how it counts an emoji.
"""

from enum import StrEnum
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

type_field = "type"


class OutboundKind(StrEnum):
    TEXT = "text"
    INTERACTIVE = "interactive"
    TEMPLATE = "template"
    IMAGE = "image"
    DOCUMENT = "document"
    AUDIO = "audio"
    VIDEO = "video"
    STICKER = "sticker"
    LOCATION = "location"
    CONTACTS = "contacts"
    REACTION = "reaction"


def _length(least: int, most: int) -> Meta:
    return Meta(min_length=least, max_length=most)


Footer = Annotated[str, _length(1, 60)]
Link = Annotated[str, Meta(pattern=r"^https?://[^\s]+$", max_length=2048)]
MediaLink = Annotated[str, Meta(pattern=r"^https://[^\s]+$", max_length=2048)]


class Text(msgspec.Struct):
    body: Annotated[str, _length(1, 4096)]
    preview_url: bool = False


class Media(msgspec.Struct):
    id: Annotated[str, _length(1, 128)] | None = None
    link: MediaLink | None = None
    caption: Annotated[str, _length(0, 1024)] | None = None
    filename: Annotated[str, _length(1, 240)] | None = None
    voice: bool | None = None


class Location(msgspec.Struct):
    latitude: Annotated[float, Meta(ge=-90, le=90)]
    longitude: Annotated[float, Meta(ge=-180, le=180)]
    name: str | None = None
    address: str | None = None


class Reaction(msgspec.Struct):
    message_id: Annotated[str, _length(1, 256)]
    emoji: Annotated[str, _length(0, 16)]  # empty removes the reaction


class ContactName(msgspec.Struct):
    """Name with `formatted_name` and at least one other part, which `validation.py` checks."""

    formatted_name: Annotated[str, _length(1, 256)]
    first_name: str | None = None
    last_name: str | None = None
    middle_name: str | None = None
    prefix: str | None = None
    suffix: str | None = None


class ContactPhone(msgspec.Struct):
    phone: str | None = None
    wa_id: str | None = None
    type: str | None = None


class Contact(msgspec.Struct):
    name: ContactName
    phones: list[ContactPhone] = []


class ShortBody(msgspec.Struct):
    text: Annotated[str, _length(1, 1024)]


class LongBody(msgspec.Struct):
    text: Annotated[str, _length(1, 4096)]


class FooterText(msgspec.Struct):
    text: Footer


class Header(msgspec.Struct):
    type: Literal["text", "image", "video", "document"]
    text: Annotated[str, _length(1, 60)] | None = None
    image: Media | None = None
    video: Media | None = None
    document: Media | None = None


class ListHeader(msgspec.Struct):
    type: Literal["text"]
    text: Annotated[str, _length(1, 60)]


class Reply(msgspec.Struct):
    id: Annotated[str, _length(1, 256)]
    title: Annotated[str, _length(1, 20)]


class ReplyButton(msgspec.Struct):
    type: Literal["reply"]
    reply: Reply


class ButtonAction(msgspec.Struct):
    buttons: Annotated[list[ReplyButton], Meta(min_length=1, max_length=3)]


class Row(msgspec.Struct):
    id: Annotated[str, _length(1, 200)]
    title: Annotated[str, _length(1, 24)]
    description: Annotated[str, _length(0, 72)] | None = None


class Section(msgspec.Struct):
    rows: Annotated[list[Row], Meta(min_length=1, max_length=10)]
    title: Annotated[str, _length(1, 24)] | None = None


class ListAction(msgspec.Struct):
    button: Annotated[str, _length(1, 20)]
    sections: Annotated[list[Section], Meta(min_length=1, max_length=10)]


class UrlParameters(msgspec.Struct):
    display_text: Annotated[str, _length(1, 20)]
    url: Link


class UrlAction(msgspec.Struct):
    name: Literal["cta_url"]
    parameters: UrlParameters


class ButtonInteractive(msgspec.Struct, tag_field=type_field, tag="button"):
    body: ShortBody
    action: ButtonAction
    header: Header | None = None
    footer: FooterText | None = None


class ListInteractive(msgspec.Struct, tag_field=type_field, tag="list"):
    body: LongBody
    action: ListAction
    header: ListHeader | None = None
    footer: FooterText | None = None


class UrlInteractive(msgspec.Struct, tag_field=type_field, tag="cta_url"):
    body: ShortBody
    action: UrlAction
    header: Header | None = None
    footer: FooterText | None = None


class GenericAction(msgspec.Struct):
    """Action of a kind that Prosa does not send. Its parameters are not checked."""

    name: str | None = None
    parameters: dict[str, object] = {}


class GenericInteractive(msgspec.Struct):
    body: ShortBody
    action: GenericAction
    header: Header | None = None
    footer: FooterText | None = None


class LocationRequest(GenericInteractive, tag_field=type_field, tag="location_request_message"):
    """Request for the user's location."""


class ContactRequest(GenericInteractive, tag_field=type_field, tag="request_contact_info"):
    """Request for the phone number of a user who hides it."""


class FlowInteractive(GenericInteractive, tag_field=type_field, tag="flow"):
    """Form (WhatsApp Flow)."""


class CatalogInteractive(GenericInteractive, tag_field=type_field, tag="catalog_message"):
    """Product catalogue."""


class CallPermissionRequest(
    GenericInteractive, tag_field=type_field, tag="call_permission_request"
):
    """Request for permission to call the user."""


Interactive = (
    ButtonInteractive
    | ListInteractive
    | UrlInteractive
    | LocationRequest
    | ContactRequest
    | FlowInteractive
    | CatalogInteractive
    | CallPermissionRequest
)


class Parameter(msgspec.Struct):
    type: str
    text: str | None = None
    parameter_name: str | None = None
    payload: str | None = None
    coupon_code: str | None = None
    action: dict[str, object] | None = None
    location: Location | None = None
    currency: dict[str, object] | None = None  # typed parameters of older templates
    date_time: dict[str, object] | None = None
    image: Media | None = None
    video: Media | None = None
    document: Media | None = None


class TemplateComponent(msgspec.Struct):
    type: str
    parameters: list[Parameter] = []
    sub_type: str | None = None
    index: int | str | None = None


class Language(msgspec.Struct):
    code: Annotated[str, _length(2, 15)]


class TemplateSend(msgspec.Struct):
    name: Annotated[str, _length(1, 512)]
    language: Language
    components: list[TemplateComponent] = []


class Context(msgspec.Struct):
    message_id: Annotated[str, _length(1, 256)]


class TypingIndicator(msgspec.Struct):
    type: Literal["text"]


class Message(msgspec.Struct):
    """Body of POST /messages: a message, or with `status` a read receipt."""

    messaging_product: Literal["whatsapp"]
    recipient_type: Literal["individual"] = "individual"
    type: OutboundKind = OutboundKind.TEXT
    to: str | None = None
    recipient: str | None = None
    context: Context | None = None
    biz_opaque_callback_data: Annotated[str, Meta(max_length=512)] | None = None
    text: Text | None = None
    interactive: Interactive | None = None
    template: TemplateSend | None = None
    image: Media | None = None
    document: Media | None = None
    audio: Media | None = None
    video: Media | None = None
    sticker: Media | None = None
    location: Location | None = None
    contacts: Annotated[list[Contact], Meta(min_length=1)] | None = None
    reaction: Reaction | None = None
    status: Literal["read"] | None = None
    message_id: str | None = None
    typing_indicator: TypingIndicator | None = None
