"""How a message moves its conversation in the list of all, told so that cached lists can follow.

A message comes in several times a second and changes a line or two of a list that everybody looks at:
each open list would be read from SQL again for it. So the change itself is added to the list's topic
(`core.cache.store`), and whoever looks applies it to the list as it was. Only the plainest change is
told this way: a later message of a conversation that stays with whom it was. All else makes the list stale,
and so does its age, after some seconds: a worker may die before it has told.
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
    """What a line of the list shows since a message. Without a `name` its writer did not know the contact:
    whoever shows the conversation already does."""

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
    """The change that is about to be flushed, or None when it is more than a later message."""
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
    """As the session has it already: nothing is read for it."""
    session = sa.inspect(conversation).session
    contact = session.identity_map.get(identity_key(Contact, conversation.contact_id))
    if contact is None or not {"name", "phone", "wa_id"} <= contact.__dict__.keys():
        return ()
    return contact.name or "", contact.phone or contact.wa_id or ""


def decode_deltas(encoded: bytes) -> list[ConversationDelta] | None:
    """In the order in which they were told; None for what is not ours."""
    try:
        return [_decode(line) for line in encoded.splitlines()]
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
