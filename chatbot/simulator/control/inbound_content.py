"""Content of a customer's message in the shape of Meta's `messages` webhook."""

from chatbot.simulator.control.schemas import InboundKind, InboundRequest
from chatbot.simulator.media.store import get_reported_sha256
from chatbot.simulator.media.urls import get_webhook_url
from chatbot.simulator.simulator import Simulator

UNSUPPORTED_ERROR = {
    "code": 131051,
    "title": "Message type unknown",
    "message": "Message type unknown",
    "error_data": {"details": "Message type is currently not supported."},
}
Content = dict[str, object]


def render_content(simulator: Simulator, inbound: InboundRequest) -> Content:
    """Return the type-specific part of an item of `messages[]`, with context and referral.

    Raise ValueError with the name of a missing field.
    """
    content = _render_by_kind(simulator, inbound)
    context: Content = {}
    if inbound.context_id:
        context |= {"from": simulator.payloads.display_phone_number, "id": inbound.context_id}
    if inbound.forwarded:
        context["forwarded"] = True
    if context:
        content["context"] = context
    if inbound.referral:
        content["referral"] = inbound.referral
    return content


def _render_by_kind(simulator: Simulator, inbound: InboundRequest) -> Content:
    match inbound.type:
        case InboundKind.TEXT:
            return {"type": "text", "text": {"body": _require(inbound.text, "text")}}
        case InboundKind.BUTTON:
            text = _require(inbound.text, "text")
            return {"type": "button", "button": {"payload": inbound.payload or text, "text": text}}
        case InboundKind.BUTTON_REPLY | InboundKind.LIST_REPLY:
            return _render_reply(inbound)
        case InboundKind.LOCATION:
            return {"type": "location", "location": _render_location(inbound)}
        case InboundKind.CONTACTS:
            return {"type": "contacts", "contacts": [_render_contact(inbound)]}
        case InboundKind.REACTION:
            emoji = {"emoji": inbound.emoji} if inbound.emoji else {}
            target = {"message_id": _require(inbound.message_id, "message_id"), **emoji}
            return {"type": "reaction", "reaction": target}
        case InboundKind.UNSUPPORTED:
            return {"type": "unsupported", "errors": [UNSUPPORTED_ERROR]}
        case InboundKind.RAW:
            if not inbound.message:
                raise ValueError("`message` is required for this type")
            return dict(inbound.message)
    return {"type": inbound.type.value, inbound.type.value: _render_file(simulator, inbound)}


def _render_reply(inbound: InboundRequest) -> Content:
    reply = {
        "id": _require(inbound.reply_id, "reply_id"),
        "title": _require(inbound.title, "title"),
    }
    if inbound.description:
        reply["description"] = inbound.description
    kind = inbound.type.value
    return {"type": "interactive", "interactive": {"type": kind, kind: reply}}


def _render_location(inbound: InboundRequest) -> Content:
    place: Content = {"latitude": inbound.latitude, "longitude": inbound.longitude}
    if inbound.place:
        place |= {"name": inbound.place, "address": inbound.address}
    return place


def _render_contact(inbound: InboundRequest) -> Content:
    name = _require(inbound.contact_name, "contact_name")
    phone = _require(inbound.contact_phone, "contact_phone")
    return {
        "name": {"formatted_name": name, "first_name": name.partition(" ")[0]},
        "phones": [{"phone": phone, "type": "CELL"}],
        "origin": "other",
        "vcard": f"BEGIN:VCARD\nVERSION:3.0\nFN:{name}\nTEL:{phone}\nEND:VCARD",
    }


def _render_file(simulator: Simulator, inbound: InboundRequest) -> Content:
    stored = simulator.files.find(_require(inbound.media_id, "media_id"))
    if stored is None:
        raise ValueError(f"`media_id`: no file has the id {inbound.media_id}")
    content: Content = {
        "id": stored.id,
        "mime_type": stored.mime_type,
        "sha256": get_reported_sha256(stored, simulator.settings, encoded=True),
        "url": get_webhook_url(simulator, stored),
    }
    if inbound.type is InboundKind.AUDIO:
        content["voice"] = inbound.voice
    elif inbound.type is InboundKind.STICKER:
        content["animated"] = False
    elif inbound.text:
        content["caption"] = inbound.text
    if inbound.type is InboundKind.DOCUMENT and stored.filename:
        content["filename"] = stored.filename
    return content


def _require(value: str, field: str) -> str:
    if not value:
        raise ValueError(f"`{field}` is required for this type")
    return value
