"""Parser of a webhook body: JSON becomes typed events.

Tolerant: any key may be missing or of another type, an unreadable update does not affect the others, and
unknown fields and kinds are counted under their own name.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec

from chatbot.brazil.phone import match_key
from chatbot.webhooks.events import (
    Event,
    IdentityChanged,
    MessageReceived,
    PreferenceChanged,
    StatusReceived,
)
from chatbot.webhooks.models import WebhookQueue
from chatbot.webhooks.parsing.account_fields import parse_account_field, parse_number_errors
from chatbot.webhooks.parsing.messages import parse_message
from chatbot.webhooks.parsing.sender_identity import parse_preference, parse_user_id_updates
from chatbot.webhooks.parsing.statuses import parse_status
from chatbot.webhooks.parsing.values import UnreadableUpdate, iter_objects, parse_timestamp, to_text

log = logging.getLogger(__name__)

MAX_KIND_LENGTH = 80


class UnreadableBody(ValueError):
    """Body that is not JSON or has no webhook envelope; `args[0]` is the reason."""


@dataclass(frozen=True, slots=True)
class QuarantinedUpdate:
    """Update that can't be parsed, with the reason and its raw JSON value."""

    kind: str
    reason: str
    raw: Any


@dataclass(slots=True)
class ParsedBody:
    """Events of a body in their order, its unreadable updates, and the count of each kind.

    `problem` is the reason if the body as a whole can't be read.
    """

    events: list[Event] = field(default_factory=list)
    quarantined: list[QuarantinedUpdate] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    problem: str | None = None

    def count(self, kind: str) -> None:
        self.counts[kind.replace("\x00", "")[:MAX_KIND_LENGTH]] += 1

    def add(self, kind: str, raw: Any, read: Callable[[], Event | None]) -> None:
        """Parse one update with `read`, which returns None for one that has no effect."""
        self.count(kind)
        try:
            event = read()
        except Exception as error:  # a bug of ours for one value must not cost the others
            self.quarantine(kind, raw, error)
            return
        if event is not None:
            self.events.append(event)

    def quarantine(self, kind: str, raw: Any, error: Exception) -> None:
        """Set an update aside that the parser can't read, or fails on."""
        reason = str(error)
        if not isinstance(error, UnreadableUpdate):
            log.exception("the parser failed on an update of kind %s", kind)
            reason = f"{type(error).__name__}: {error}"
        self.quarantined.append(QuarantinedUpdate(kind, reason, raw))


def parse_body(raw: bytes, received_at: datetime) -> ParsedBody:
    """Parse a body. Raises UnreadableBody, and nothing else, if it has no webhook envelope."""
    try:
        body = _decode_json(raw)
    except (ValueError, RecursionError) as error:
        raise UnreadableBody(f"not JSON: {error}") from error
    if not isinstance(body, dict) or not isinstance(body.get("entry"), list):
        raise UnreadableBody("no webhook envelope: `entry` is missing")
    found = ParsedBody()
    for entry in iter_objects(body["entry"]):
        for change in iter_objects(entry.get("changes")):
            try:
                _parse_change(found, entry, change, received_at)
            except Exception as error:  # what was read of the change before stays
                found.quarantine(f"field:{to_text(change.get('field'))}", change, error)
    return found


def _decode_json(raw: bytes) -> Any:
    """Decode strictly, else leniently: half an emoji or a stray byte must not lose the whole body."""
    try:
        return msgspec.json.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        document = json.dumps(json.loads(raw.decode("utf-8", "replace")), ensure_ascii=False)
        return msgspec.json.decode(document.encode("utf-8", "replace"))


def _parse_change(
    found: ParsedBody, entry: Mapping[str, Any], change: Mapping[str, Any], received_at: datetime
) -> None:
    name, value = to_text(change.get("field")) or "unknown", change.get("value")
    if not isinstance(value, dict):
        found.count(f"field:{name}")
        return
    at, account = parse_timestamp(entry.get("time"), received_at), to_text(entry.get("id"), 40)
    if name == "messages" or (name == "unknown" and ("messages" in value or "statuses" in value)):
        _parse_messages(found, account, value, received_at)
    elif name == "user_preferences":
        for preference in iter_objects(value.get("user_preferences")):
            choice = to_text(preference.get("value")) or "unknown"
            found.add(
                f"preference:{choice}",
                preference,
                lambda item=preference: parse_preference(account, value, item, at),  # type: ignore[misc]
            )
    elif name == "user_id_update":
        found.count("field:user_id_update")
        found.events += parse_user_id_updates(account, value, at)
    else:
        found.count(f"field:{name}")
        found.events += parse_account_field(name, account, value, at)


def _parse_messages(
    found: ParsedBody, account: str, value: Mapping[str, Any], received_at: datetime
) -> None:
    messages = list(iter_objects(value.get("messages")))
    for message in messages:
        if message.get("group_id"):  # a message in a group belongs to no conversation with us
            found.count("message:group")
            continue
        found.add(
            f"message:{to_text(message.get('type')) or 'unknown'}",
            message,
            lambda item=message: parse_message(account, value, item, received_at),  # type: ignore[misc]
        )
    for status in iter_objects(value.get("statuses")):
        found.add(
            f"status:{to_text(status.get('status')) or 'unknown'}",
            status,
            lambda item=status: parse_status(account, value, item, received_at),  # type: ignore[misc]
        )
    for event in parse_number_errors(account, value, received_at):
        found.count(f"error:{event.code}")
        if not messages:  # next to a message it is about that message, whose payload has it too
            found.events.append(event)


def get_queue(event: Event) -> WebhookQueue:
    """Return the queue: events of one person are applied in order, all others in bulk."""
    is_personal = isinstance(event, MessageReceived | IdentityChanged | PreferenceChanged)
    return WebhookQueue.MESSAGES if is_personal else WebhookQueue.STATUSES


def get_contact_key(event: Event) -> str:
    """Return the key that keeps one person's updates in order before the contact is resolved."""
    match event:
        case MessageReceived(sender=sender) | PreferenceChanged(sender=sender):
            person = sender
        case IdentityChanged(old=old):
            person = old
        case _:
            return ""
    key = match_key(person.wa_id) if person.wa_id else person.bsuid or person.username or ""
    return key[:160]


def get_event_time(event: Event) -> datetime:
    """Return Meta's timestamp, which orders the events of a queue."""
    match event:
        case MessageReceived(message=message):
            return message.occurred_at
        case StatusReceived(receipt=receipt):
            return receipt.happened_at
    return event.happened_at
