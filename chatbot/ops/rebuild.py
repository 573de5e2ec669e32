"""Fill an empty Redis from SQL, so that Prosa is not slow in the first minute after its loss.

This is optional: Prosa fills Redis by itself as data is used.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from chatbot.conversations.context import rebuild_context, store_context
from chatbot.conversations.models import Conversation, ConversationState
from chatbot.core import clock
from chatbot.core import redis as prosa_redis
from chatbot.core.db import db
from chatbot.core.redis import key, ttl
from chatbot.core.sessions import StoredSession

BATCH = 200


def rebuild_contexts() -> int:
    """Store the bot's context of each open conversation that is not older than its TTL. Return how many."""
    since = clock.now() - timedelta(seconds=ttl("conversation"))
    alive = sa.and_(
        Conversation.last_message_at >= since, Conversation.state != ConversationState.CLOSED
    )
    number = 0
    for conversations in _batches(sa.select(Conversation).where(alive), Conversation.id):
        for conversation in conversations:
            store_context(conversation.id, rebuild_context(conversation))
        number += len(conversations)
        db.session.commit()
        db.session.expunge_all()
    return number


def rebuild_sessions() -> int:
    """Store the sessions of signed-in users with their remaining TTL. Return how many.

    Raises:
        RedisError: Redis is unavailable.
    """
    alive = sa.and_(
        StoredSession.ended_at.is_(None),
        StoredSession.expires_at > clock.now() + timedelta(seconds=1),
    )
    number = 0
    for sessions in _batches(sa.select(StoredSession).where(alive), StoredSession.id):
        with prosa_redis.client().pipeline(transaction=False) as pipe:
            for session in sessions:
                rest = session.expires_at - clock.now()
                # nx: a value that is already there is at least as new.
                name = key("session", session.id)
                pipe.set(name, session.data, ex=max(1, int(rest.total_seconds())), nx=True)
            pipe.execute()
        number += len(sessions)
        db.session.rollback()
        db.session.expunge_all()
    return number


def _batches(query: sa.Select[Any], column: Any) -> Iterator[Sequence[Any]]:
    """Yield batches by keyset pagination over the primary key `column`."""
    last: Any = None
    while True:
        page = query if last is None else query.where(column > last)
        rows = db.session.scalars(page.order_by(column).limit(BATCH)).all()
        if not rows:
            return
        last = rows[-1].id
        yield rows
