"""What a customer's message looks like in a webhook (sections 2.1, 2.2 and 2.4)."""

from chatbot.simulator.attachments import webhook_url
from chatbot.simulator.control_bodies import Inbound, InboundKind
from chatbot.simulator.media import told_sha256
from chatbot.simulator.simulator import Simulator

UNSUPPORTED = {
    "code": 131051,
    "title": "Message type unknown",
    "message": "Message type unknown",
    "error_data": {"details": "Message type is currently not supported."},
}
Content = dict[str, object]


def content_of(simulator: Simulator, asked: Inbound) -> Content:
    """The type's part of `messages[]`, and its context; ValueError names a lacking field."""
    content = _content(simulator, asked)
    context: Content = {}
    if asked.context_id:
        context |= {"from": simulator.envelopes.display_phone_number, "id": asked.context_id}
    if asked.forwarded:
        context["forwarded"] = True
    if context:
        content["context"] = context
    if asked.referral:
        content["referral"] = asked.referral
    return content


def _content(simulator: Simulator, asked: Inbound) -> Content:
    match asked.type:
        case InboundKind.TEXT:
            return {"type": "text", "text": {"body": _given(asked.text, "text")}}
        case InboundKind.BUTTON:
            text = _given(asked.text, "text")
            return {"type": "button", "button": {"payload": asked.payload or text, "text": text}}
        case InboundKind.BUTTON_REPLY | InboundKind.LIST_REPLY:
            return _reply(asked)
        case InboundKind.LOCATION:
            return {"type": "location", "location": _location(asked)}
        case InboundKind.CONTACTS:
            return {"type": "contacts", "contacts": [_contact(asked)]}
        case InboundKind.REACTION:
            emoji = {"emoji": asked.emoji} if asked.emoji else {}
            target = {"message_id": _given(asked.message_id, "message_id"), **emoji}
            return {"type": "reaction", "reaction": target}
        case InboundKind.UNSUPPORTED:
            return {"type": "unsupported", "errors": [UNSUPPORTED]}
        case InboundKind.RAW:
            if not asked.message:
                raise ValueError("`message` is required for this type")
            return dict(asked.message)
    return {"type": asked.type.value, asked.type.value: _file(simulator, asked)}


def _reply(asked: Inbound) -> Content:
    reply = {"id": _given(asked.reply_id, "reply_id"), "title": _given(asked.title, "title")}
    if asked.description:
        reply["description"] = asked.description
    kind = asked.type.value
    return {"type": "interactive", "interactive": {"type": kind, kind: reply}}


def _location(asked: Inbound) -> Content:
    place: Content = {"latitude": asked.latitude, "longitude": asked.longitude}
    if asked.place:
        place |= {"name": asked.place, "address": asked.address}
    return place


def _contact(asked: Inbound) -> Content:
    name = _given(asked.contact_name, "contact_name")
    phone = _given(asked.contact_phone, "contact_phone")
    return {
        "name": {"formatted_name": name, "first_name": name.partition(" ")[0]},
        "phones": [{"phone": phone, "type": "CELL"}],
        "origin": "other",
        "vcard": f"BEGIN:VCARD\nVERSION:3.0\nFN:{name}\nTEL:{phone}\nEND:VCARD",
    }


def _file(simulator: Simulator, asked: Inbound) -> Content:
    stored = simulator.files.find(_given(asked.media_id, "media_id"))
    if stored is None:
        raise ValueError(f"`media_id`: no file has the id {asked.media_id}")
    content: Content = {
        "id": stored.id,
        "mime_type": stored.mime_type,
        "sha256": told_sha256(stored, simulator.settings, encoded=True),
        "url": webhook_url(simulator, stored),
    }
    if asked.type is InboundKind.AUDIO:
        content["voice"] = asked.voice
    elif asked.type is InboundKind.STICKER:
        content["animated"] = False
    elif asked.text:
        content["caption"] = asked.text
    if asked.type is InboundKind.DOCUMENT and stored.filename:
        content["filename"] = stored.filename
    return content


def _given(value: str, field: str) -> str:
    if not value:
        raise ValueError(f"`{field}` is required for this type")
    return value
