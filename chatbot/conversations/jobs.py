"""The replies worker's batch, and the sweep over replies in doubt."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import sqlalchemy as sa
from flask import current_app

from chatbot.channels.models import Channel
from chatbot.channels.service import make_gateway
from chatbot.conversations.models import Message
from chatbot.conversations.replies import LEDGER, ReplySource, count_due, skip_unsendable
from chatbot.core import redis as prosa_redis
from chatbot.core.db import db, db_now, reading
from chatbot.core.hints import Kind, publish_committed
from chatbot.delivery.ledger import expire_leases
from chatbot.delivery.pacer import Line, Pacer
from chatbot.delivery.sender import Sender
from chatbot.delivery.states import State
from chatbot.extensions import settings_of

SLICE = 32
RUN_S = 20.0
SOON_S = 0.5


def deliver() -> float | None:
    """Send the replies that are due; see `core.queue.Bell` for the return value."""
    settings = settings_of(current_app)
    for channel, due in _channels_with_due():
        pacer = Pacer(prosa_redis.client(), Line(channel.id, settings.messages_per_second))
        source = ReplySource(db.engine, channel.id)
        sender = Sender(
            db.engine,
            source,
            make_gateway(channel),
            pacer,
            doubt_window_s=settings.doubt_window_s,
            call_s=settings.call_timeout_s,
            slice_size=due,
        )
        asyncio.run(sender.run(RUN_S))
        publish_committed(Kind.CONVERSATION, source.touched)
    return _next_due()


def _channels_with_due() -> list[tuple[Channel, int]]:
    """Counted first: time is booked for what there is, and an idle loop books none."""
    query = sa.select(Channel).where(
        Channel.halted_reason.is_(None),
        sa.exists().where(Message.state == State.QUEUED, Message.due_at <= db_now()),
    )
    with reading(), db.sessionmaker() as session:
        channels = session.scalars(query).all()
        session.expunge_all()
        counted = [(c, count_due(session.connection(), c.id, SLICE)) for c in channels]
    return [(channel, due) for channel, due in counted if due]


def _next_due() -> float | None:
    query = sa.select(sa.func.min(Message.due_at)).where(Message.state == State.QUEUED)
    with reading(), db.engine.connect() as connection:
        due_at = connection.scalar(query)
    if due_at is None:
        return None
    return max(SOON_S, (due_at - datetime.now(UTC)).total_seconds())


def settle_due() -> list[tuple[()]]:
    """There is always something to look at; the scheduler decides how often."""
    return [()]


def settle() -> None:
    """Rows of a worker that died are in doubt; replies that may no longer go out are skipped."""
    window_s = settings_of(current_app).doubt_window_s
    with db.engine.begin() as connection:
        changed = expire_leases(connection, LEDGER, window_s) + skip_unsendable(connection)
    if changed:
        publish_committed(Kind.CONVERSATION, [None])
