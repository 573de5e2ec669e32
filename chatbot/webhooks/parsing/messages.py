"""Parser of one message of a body.

Meta's shapes: https://developers.facebook.com/docs/whatsapp/cloud-api/webhooks/reference/messages
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from chatbot.bot.understanding.consent import ConsentWish, find_consent_wish
from chatbot.contacts.service import SenderIdentity
from chatbot.conversations.inbound import InboundMessage
from chatbot.core.text import clean_text
from chatbot.webhooks.events import IdentityChanged, MessageReceived
from chatbot.webhooks.parsing.sender_identity import build_sender, parse_number
from chatbot.webhooks.parsing.treatments import (
    FORM_KINDS,
    KIND_ALIASES,
    LOST_CONTENT_CODES,
    MESSAGE_TREATMENTS,
    TAPPED_KINDS,
    WORDLESS_KINDS,
    Treatment,
)
from chatbot.webhooks.parsing.values import (
    MAX_ID_LENGTH,
    UnreadableUpdate,
    first_text,
    get_object,
    iter_objects,
    parse_timestamp,
    strip_nul,
    to_integer,
    to_text,
)

MAX_MESSAGE_TEXT = 65_536  # characters; Meta sends 4,096, and pages must stay readable


def parse_message(
    account: str, value: Mapping[str, Any], message: Mapping[str, Any], received_at: datetime
) -> MessageReceived | IdentityChanged:
    """Parse a message. Raises UnreadableUpdate when it has no usable id or no sender."""
    number, display_phone = parse_number(value)
    sender = _parse_sender(
        message, _find_sender_entry(message, list(iter_objects(value.get("contacts"))))
    )
    if not sender.identities:
        raise UnreadableUpdate("the message does not name its sender")
    inbound = _parse_inbound(message, received_at)
    if inbound.kind == "system":
        new = _parse_new_identity(get_object(message, "system"))
        if new is not None:
            old = replace(
                sender, bsuid=_parse_previous_id(get_object(message, "system")) or sender.bsuid
            )
            at = inbound.occurred_at
            return IdentityChanged(
                number=number, account=account, old=old, new=new, happened_at=at, message=inbound
            )
    return MessageReceived(
        number=number,
        account=account,
        display_phone=display_phone,
        sender=_add_shared_phone(sender, inbound),
        message=inbound,
    )


def _find_sender_entry(
    message: Mapping[str, Any], contacts: list[dict[str, Any]]
) -> dict[str, Any]:
    """Return the entry of `contacts` that is the sender's, matched by id and not by index."""
    for contact in contacts:
        if _is_same_id(contact.get("wa_id"), message.get("from")):
            return contact
        if _is_same_id(contact.get("user_id"), message.get("from_user_id")):
            return contact
    return contacts[0] if len(contacts) == 1 and not message.get("from") else {}


def _is_same_id(one: object, other: object) -> bool:
    return isinstance(one, str) and one != "" and one == other


def _parse_sender(message: Mapping[str, Any], contact: Mapping[str, Any]) -> SenderIdentity:
    profile = get_object(contact, "profile")
    return build_sender(
        phone=to_text(message.get("from")) or to_text(contact.get("wa_id")),
        bsuid=to_text(message.get("from_user_id")) or to_text(contact.get("user_id")),
        parent=to_text(message.get("from_parent_user_id"))
        or to_text(contact.get("parent_user_id")),
        username=first_text(profile, "username") or to_text(contact.get("username")),
        name=clean_text(to_text(profile.get("name")), 200),
    )


def _add_shared_phone(sender: SenderIdentity, message: InboundMessage) -> SenderIdentity:
    """Add the phone that a person known by user id shared on request (`contact_request`)."""
    if sender.wa_id is not None or message.kind != "contacts":
        return sender
    for card in iter_objects(message.payload.get("content")):
        if card.get("origin") == "contact_request":
            for phone in iter_objects(card.get("phones")):
                if wa_id := first_text(phone, "wa_id"):
                    return replace(sender, wa_id=wa_id.lstrip("+")[:80])
    return sender


def _parse_inbound(message: Mapping[str, Any], received_at: datetime) -> InboundMessage:
    wamid = _parse_message_id(message)
    raw_kind = to_text(message.get("type"), 30) or _guess_kind(message)
    content = strip_nul(message.get(raw_kind))
    kind = _find_kind(raw_kind, content)
    text = extract_text(kind, content)
    context = get_object(message, "context")
    reference = first_text(get_object(message, raw_kind), "message_id", "original_message_id")
    return InboundMessage(
        wamid=wamid,
        kind=kind,
        occurred_at=parse_timestamp(message.get("timestamp"), received_at),
        text=text[:MAX_MESSAGE_TEXT],
        payload=_extract_payload(content, message),
        context_wamid=(to_text(context.get("id")) or reference)[:MAX_ID_LENGTH] or None,
        is_urgent=kind in TAPPED_KINDS or _is_opt_out(text),
        expects_answer=_expects_answer(kind, text, message),
        opens_window=MESSAGE_TREATMENTS.get(kind) is not Treatment.RECORDED_WITHOUT_WINDOW,
    )


def _find_kind(raw_kind: str, content: object) -> str:
    """Return the kind as we store it: interactive messages that are no tapped choice have their own."""
    if raw_kind == "interactive" and isinstance(content, dict):
        return next((kind for kind in FORM_KINDS if kind in content), raw_kind)
    return KIND_ALIASES.get(raw_kind, raw_kind)


def _parse_message_id(message: Mapping[str, Any]) -> str:
    wamid = to_text(message.get("id"))
    if not wamid or len(wamid) > MAX_ID_LENGTH:
        raise UnreadableUpdate("the message has no usable id")
    return wamid


def _guess_kind(message: Mapping[str, Any]) -> str:
    """Guess the kind of a message without a type from its keys."""
    return next((kind for kind in MESSAGE_TREATMENTS if kind in message), "unknown")


def _extract_payload(content: object, message: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content with the message's referral, errors and context."""
    found = dict(content) if isinstance(content, dict) else {"content": content} if content else {}
    for name in ("referral", "errors", "context"):
        if message.get(name) and name not in found:
            found[name] = strip_nul(message[name])
    return found


def _expects_answer(kind: str, text: str, message: Mapping[str, Any]) -> bool:
    treatment = MESSAGE_TREATMENTS.get(kind)
    if treatment is Treatment.TEXT_REQUESTED:
        codes = {to_integer(error.get("code")) for error in iter_objects(message.get("errors"))}
        return bool(codes & LOST_CONTENT_CODES)
    return treatment is Treatment.ANSWERED or (treatment is None and bool(text))


def _is_opt_out(text: str) -> bool:
    """Detect an opt-out, which is handled at once instead of after the pause for further messages."""
    return len(text) < 200 and find_consent_wish(text) is ConsentWish.STOP


def extract_text(kind: str, content: object) -> str:
    """Return the person's words: text, caption, or the title of a tapped button.

    Other content, such as the name of a file or place, is shown from the payload (`conversations.contents`).
    """
    if isinstance(content, str):
        return to_text(content)
    if not isinstance(content, dict) or kind in WORDLESS_KINDS:
        return ""
    match kind:
        case "interactive":
            return _extract_tapped_title(content)
        case "edit":
            edited = get_object(content, "message")
            inner_kind = to_text(edited.get("type")) or "text"
            return extract_text(inner_kind, edited.get(inner_kind)) if inner_kind != "edit" else ""
    return first_text(content, "body", "caption", "text", "emoji")


def _extract_tapped_title(content: Mapping[str, Any]) -> str:
    for name in ("button_reply", "list_reply"):
        if title := first_text(get_object(content, name), "title", "id"):
            return title
    return ""


def _parse_new_identity(system: Mapping[str, Any]) -> SenderIdentity | None:
    """Return the sender's new identity from a system message, if it has one."""
    # This type is about a new security code, after which the person is still the same.
    if to_text(system.get("type")) == "customer_identity_changed":
        return None
    new = build_sender(
        phone=first_text(system, "wa_id", "new_wa_id"),
        bsuid=first_text(system, "user_id"),
        parent=first_text(system, "parent_user_id"),
    )
    return new if new.strong_identities else None


def _parse_previous_id(system: Mapping[str, Any]) -> str:
    return to_text(system.get("previous_user_id"), 160)
