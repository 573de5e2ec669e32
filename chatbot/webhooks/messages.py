"""One message of a body, made a typed event (section 2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from chatbot.bot.intents import Intent
from chatbot.bot.rules import certain_intent
from chatbot.bot.text import words
from chatbot.contacts.service import Sender
from chatbot.conversations.inbound import InboundMessage
from chatbot.webhooks.events import IdentityChanged, MessageReceived
from chatbot.webhooks.kinds import LOST_CONTENT, MESSAGE_KINDS, SAME_KIND, TAPPED, Treatment
from chatbot.webhooks.senders import make_sender, number_of
from chatbot.webhooks.values import (
    MOST_ID,
    UnreadableUpdate,
    dicts,
    first_text,
    inner,
    integer,
    moment,
    text,
    without_nul,
)

MOST_TEXT = 65_536  # characters; Meta sends 4,096, and pages must stay readable


def read_message(
    account: str, value: Mapping[str, Any], message: Mapping[str, Any], received_at: datetime
) -> MessageReceived | IdentityChanged:
    """Raises UnreadableUpdate when it has no id, or nothing says who wrote."""
    number, display_phone = number_of(value)
    sender = _sender_of(message, _contact_of(message, list(dicts(value.get("contacts")))))
    if not sender.identities:
        raise UnreadableUpdate("the message says nothing of who sent it")
    inbound = _inbound(message, received_at)
    if inbound.kind == "system":
        new = _new_identity(inner(message, "system"))
        if new is not None:
            old = replace(sender, bsuid=_previous_id(inner(message, "system")) or sender.bsuid)
            at = inbound.occurred_at
            return IdentityChanged(
                number=number, account=account, old=old, new=new, happened_at=at, message=inbound
            )
    return MessageReceived(
        number=number,
        account=account,
        display_phone=display_phone,
        sender=_with_shared_phone(sender, inbound),
        message=inbound,
    )


def _contact_of(message: Mapping[str, Any], contacts: list[dict[str, Any]]) -> dict[str, Any]:
    """The entry of `contacts` that is the sender's: matched by id, never by index."""
    for contact in contacts:
        if _same(contact.get("wa_id"), message.get("from")):
            return contact
        if _same(contact.get("user_id"), message.get("from_user_id")):
            return contact
    return contacts[0] if len(contacts) == 1 and not message.get("from") else {}


def _same(one: object, other: object) -> bool:
    return isinstance(one, str) and one != "" and one == other


def _sender_of(message: Mapping[str, Any], contact: Mapping[str, Any]) -> Sender:
    profile = inner(contact, "profile")
    return make_sender(
        phone=text(message.get("from")) or text(contact.get("wa_id")),
        bsuid=text(message.get("from_user_id")) or text(contact.get("user_id")),
        parent=text(message.get("from_parent_user_id")) or text(contact.get("parent_user_id")),
        username=first_text(profile, "username") or text(contact.get("username")),
        name=text(profile.get("name"), 200),
    )


def _with_shared_phone(sender: Sender, message: InboundMessage) -> Sender:
    """Who taps "share contact" tells the phone that was hidden until then (section 2.5)."""
    if sender.wa_id is not None or message.kind != "contacts":
        return sender
    for card in dicts(message.payload.get("content")):
        if card.get("origin") == "contact_request":
            for phone in dicts(card.get("phones")):
                if wa_id := first_text(phone, "wa_id"):
                    return replace(sender, wa_id=wa_id.lstrip("+")[:80])
    return sender


def _inbound(message: Mapping[str, Any], received_at: datetime) -> InboundMessage:
    wamid = _message_id(message)
    raw_kind = text(message.get("type"), 30) or _kind_by_key(message)
    kind = SAME_KIND.get(raw_kind, raw_kind)
    content = without_nul(message.get(raw_kind))
    said = words_of(kind, content)
    context = inner(message, "context")
    reference = first_text(inner(message, kind), "message_id", "original_message_id")
    return InboundMessage(
        wamid=wamid,
        kind=kind,
        occurred_at=moment(message.get("timestamp"), received_at),
        text=said[:MOST_TEXT],
        payload=_payload(content, message),
        context_wamid=(text(context.get("id")) or reference)[:MOST_ID] or None,
        is_urgent=kind in TAPPED or _asks_to_stop(said),
        expects_answer=_expects_answer(kind, said, message),
        opens_window=MESSAGE_KINDS.get(kind) is not Treatment.NOTED,
    )


def _message_id(message: Mapping[str, Any]) -> str:
    wamid = text(message.get("id"))
    if not wamid or len(wamid) > MOST_ID:
        raise UnreadableUpdate("the message has no usable id")
    return wamid


def _kind_by_key(message: Mapping[str, Any]) -> str:
    """A message without a type is known by what it carries."""
    return next((kind for kind in MESSAGE_KINDS if kind in message), "unknown")


def _payload(content: object, message: Mapping[str, Any]) -> dict[str, Any]:
    """The content, and what stands beside it and is worth keeping."""
    found = dict(content) if isinstance(content, dict) else {"content": content} if content else {}
    for name in ("referral", "errors", "context"):
        if message.get(name) and name not in found:
            found[name] = without_nul(message[name])
    return found


def _expects_answer(kind: str, said: str, message: Mapping[str, Any]) -> bool:
    treatment = MESSAGE_KINDS.get(kind)
    if treatment is Treatment.ASKED_AGAIN:
        codes = {integer(error.get("code")) for error in dicts(message.get("errors"))}
        return bool(codes & LOST_CONTENT)
    return treatment is Treatment.ANSWERED or (treatment is None and bool(said))


def _asks_to_stop(said: str) -> bool:
    """Who wants no more messages is heard at once, not after the pause for the rest of a burst."""
    return len(said) < 200 and certain_intent(words(said)) is Intent.OPT_OUT


def words_of(kind: str, content: object) -> str:
    """What people read of a message: its text, caption, or the title of what was tapped."""
    if isinstance(content, str):
        return text(content)
    if kind == "contacts":
        names = (first_text(inner(card, "name"), "formatted_name") for card in dicts(content))
        return ", ".join(name for name in names if name)
    if not isinstance(content, dict):
        return ""
    match kind:
        case "interactive":
            return _tapped(content)
        case "location":
            return ", ".join(
                filter(None, (text(content.get("name")), text(content.get("address"))))
            )
        case "edit":
            edited = inner(content, "message")
            inner_kind = text(edited.get("type")) or "text"
            return words_of(inner_kind, edited.get(inner_kind)) if inner_kind != "edit" else ""
    return first_text(content, "body", "caption", "text", "emoji", "filename")


def _tapped(content: Mapping[str, Any]) -> str:
    for name in ("button_reply", "list_reply"):
        if title := first_text(inner(content, name), "title", "id"):
            return title
    form = inner(content, "nfm_reply")
    return first_text(form, "body", "name") or first_text(
        inner(content, "call_permission_reply"), "response"
    )


def _new_identity(system: Mapping[str, Any]) -> Sender | None:
    """Whom a system message says the sender to be from now on (section 2.3)."""
    what = text(system.get("type"))
    if what == "customer_identity_changed":  # a security code: the person stays who they are
        return None
    new = make_sender(
        phone=first_text(system, "wa_id", "new_wa_id"),
        bsuid=first_text(system, "user_id"),
        parent=first_text(system, "parent_user_id"),
    )
    return new if new.proofs else None


def _previous_id(system: Mapping[str, Any]) -> str:
    return text(system.get("previous_user_id"), 160)
