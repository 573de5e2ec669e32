"""Context of a conversation for the bot: cached in Redis for 24 hours, rebuilt from SQL.

SQL is authoritative: `Conversation` has the intent and slots, `Message` the texts. A cached copy is
used only if its version equals the conversation's, and it replaces only an older version: if two
workers reach Redis in the opposite order of their commits, the later turn is kept.
"""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa
from redis.client import Pipeline

from chatbot.conversations.models import Conversation, Message
from chatbot.core import redis as prosa_redis
from chatbot.core.after_commit import run_redis_after_commit
from chatbot.core.db import db
from chatbot.core.redis import RedisError, key, ttl

MAX_CONTEXT_MESSAGES = 10
MAX_CONTEXT_TEXT = 500


class ContextMessage(msgspec.Struct, frozen=True):
    """One earlier message, cut to MAX_CONTEXT_TEXT characters."""

    author: str
    text: str


class Context(msgspec.Struct):
    """Intent, slots and latest messages as of one `version` of the conversation."""

    version: int
    last_intent: str | None = None
    slots: dict[str, Any] = {}
    messages: list[ContextMessage] = []

    def add(self, author: str, text: str) -> None:
        self.messages = [*self.messages, ContextMessage(author, text[:MAX_CONTEXT_TEXT])][
            -MAX_CONTEXT_MESSAGES:
        ]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Context).decode

# KEYS: the context. ARGV: its version, the encoded context, the TTL in seconds. The value is the version,
# a space and the context; a value of another form or type was not written by us and is replaced.
_STORE_SCRIPT = """
local present = redis.call('MGET', KEYS[1])[1] or ''
local version = tonumber(string.match(present, '^(%d+) '))
if version and version > tonumber(ARGV[1]) then return 0 end
redis.call('SET', KEYS[1], ARGV[1] .. ' ' .. ARGV[2], 'EX', ARGV[3])
return 1
"""


def load_context(conversation: Conversation) -> Context:
    """Return the cached context, or rebuild it from SQL if Redis has no current copy."""
    try:
        raw: Any = prosa_redis.client().get(key("conversation", conversation.id))
        found = _decode(raw.partition(b" ")[2]) if isinstance(raw, bytes) else None
    except (RedisError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        found = None
    if found is not None and found.version == conversation.version:
        return found
    return rebuild_context(conversation)


def rebuild_context(conversation: Conversation) -> Context:
    """Build the context from SQL, without the messages that still wait for an answer."""
    rows = db.session.execute(
        sa.select(Message.author, Message.text)
        .where(Message.conversation_id == conversation.id, ~Message.needs_turn)
        .order_by(Message.occurred_at.desc(), Message.id.desc())
        .limit(MAX_CONTEXT_MESSAGES)
    ).all()
    return Context(
        version=conversation.version,
        last_intent=conversation.last_intent,
        slots=dict(conversation.slots),
        messages=[
            ContextMessage(author, text[:MAX_CONTEXT_TEXT]) for author, text in reversed(rows)
        ],
    )


def store_context(conversation_id: int, context: Context) -> None:
    """Store the context in Redis after the commit, in the round trip that enqueues the tasks.

    If Redis fails, the next turn rebuilds it.
    """
    name = key("conversation", conversation_id)

    def commands(pipe: Pipeline) -> None:
        pipe.eval(_STORE_SCRIPT, 1, name, context.version, _encode(context), ttl("conversation"))

    run_redis_after_commit(commands, key=name)
