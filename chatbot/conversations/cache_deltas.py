"""Deltas that keep the cached inbox of all conversations current without reading it from SQL again.

Several messages a second change one row each of a list that every agent has open. Instead of invalidating
the list, such a change is appended to the version of its cache tag (`core.cache.store`), and readers apply
it to the cached page. Only a later message of a conversation whose state and agent stay the same becomes a
delta; every other change invalidates. Cached pages also expire after seconds, because a worker may die
between its commit and the delta.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.orm.util import identity_key

from chatbot.contacts.models import Contact
from chatbot.core.cache.invalidation import has_changed

_encode = msgspec.json.Encoder().encode


class ConversationDelta(msgspec.Struct, array_like=True, frozen=True):
    """New values of a conversation's row in the inbox after a message.

    `name` and `address` are None if the writer had not loaded the contact.
    """

    id: int
    state: str
    assigned_user_id: int | None
    unread_count: int
    last_message_at: datetime
    last_message_text: str
    name: str | None = None
    address: str | None = None


_decode = msgspec.json.Decoder(ConversationDelta).decode


def encode_delta(conversation: Any) -> bytes | None:
    """Encode the change that is about to be flushed, or return None if it must invalidate the list."""
    if has_changed(conversation, "state", "assigned_user_id"):
        return None
    before = sa.inspect(conversation).attrs.last_message_at.history.deleted
    if not before or not before[0] or conversation.last_message_at <= before[0]:
        return None
    delta = ConversationDelta(
        conversation.id,
        conversation.state,
        conversation.assigned_user_id,
        conversation.unread_count,
        conversation.last_message_at,
        conversation.last_message_text,
        *_get_loaded_contact(conversation),
    )
    return _encode(delta) + b"\n"


def _get_loaded_contact(conversation: Any) -> tuple[str, str] | tuple[()]:
    """Return name and address if the session has the contact loaded, without any query."""
    session = sa.inspect(conversation).session
    contact = session.identity_map.get(identity_key(Contact, conversation.contact_id))
    if contact is None or not {"name", "phone", "wa_id"} <= contact.__dict__.keys():
        return ()
    return contact.name or "", contact.phone or contact.wa_id or ""


def decode_deltas(encoded: bytes) -> list[ConversationDelta] | None:
    """Decode the deltas in the order they were appended, or return None if the bytes are malformed."""
    try:
        return [_decode(line) for line in encoded.splitlines()]
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
