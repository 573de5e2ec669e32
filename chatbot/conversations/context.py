"""What the bot remembers of a conversation: in Redis for 24 hours, rebuilt from SQL.

SQL is the truth (`Conversation` keeps intent and slots, `Message` the words); Redis saves the reading.
A copy counts only if its version is the conversation's, and replaces only an older one: of two workers
that commit one after the other and reach Redis in the other order, the later turn is kept.
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
    """One thing that was said."""

    author: str
    text: str


class Context(msgspec.Struct):
    """`version` is that of the conversation it was written for."""

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

# KEYS: the context. ARGV: its version, the context, its life. The version stands before the context,
# ended by a space; what does not begin so, or has another type, was not written by us.
_STORE_SCRIPT = """
local present = redis.call('MGET', KEYS[1])[1] or ''
local version = tonumber(string.match(present, '^(%d+) '))
if version and version > tonumber(ARGV[1]) then return 0 end
redis.call('SET', KEYS[1], ARGV[1] .. ' ' .. ARGV[2], 'EX', ARGV[3])
return 1
"""


def load_context(conversation: Conversation) -> Context:
    """One round trip; three fields and ten messages of SQL where Redis has nothing fit."""
    try:
        raw: Any = prosa_redis.client().get(key("conversation", conversation.id))
        found = _decode(raw.partition(b" ")[2]) if isinstance(raw, bytes) else None
    except (RedisError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        found = None
    if found is not None and found.version == conversation.version:
        return found
    return rebuild_context(conversation)


def rebuild_context(conversation: Conversation) -> Context:
    """What was said up to the messages that wait for an answer."""
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
    """Write through with the commit, on the trip that rings the bells. Without Redis the next turn
    rebuilds it."""
    name = key("conversation", conversation_id)

    def commands(pipe: Pipeline) -> None:
        pipe.eval(_STORE_SCRIPT, 1, name, context.version, _encode(context), ttl("conversation"))

    run_redis_after_commit(commands, key=name)
