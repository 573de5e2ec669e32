"""Tasks: send due replies, and settle replies whose sending was interrupted."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import sqlalchemy as sa
from flask import current_app

from chatbot.channels.models import Channel
from chatbot.channels.service import make_gateway
from chatbot.conversations.models import Message
from chatbot.conversations.replies import REPLY_SEND_TABLE, ReplySource, count_due, skip_unsendable
from chatbot.core import redis as prosa_redis
from chatbot.core.db import db, db_now, read_only
from chatbot.core.live_events import LiveEventKind, publish_now
from chatbot.delivery.models import MessageState
from chatbot.delivery.send_table import expire_leases
from chatbot.delivery.sender import Sender
from chatbot.delivery.throttle import Throttle, ThrottleLimits
from chatbot.extensions import get_settings

BATCH_SIZE = 32
MAX_RUN_S = 20.0
MIN_DELAY_S = 0.5


def deliver_replies() -> float | None:
    """Send the replies that are due; see `core.tasks.Task` for the return value."""
    settings = get_settings(current_app)
    for channel, due in _list_channels_with_due_replies():
        throttle = Throttle(
            prosa_redis.client(), ThrottleLimits(channel.id, settings.messages_per_second)
        )
        source = ReplySource(db.engine, channel.id)
        sender = Sender(
            db.engine,
            source,
            make_gateway(channel),
            throttle,
            doubt_window_s=settings.doubt_window_s,
            call_timeout_s=settings.call_timeout_s,
            batch_size=due,
        )
        asyncio.run(sender.run(MAX_RUN_S))
        publish_now(LiveEventKind.CONVERSATION, source.claimed_conversation_ids)
    return _seconds_until_next_due()


def _list_channels_with_due_replies() -> list[tuple[Channel, int]]:
    """Return channels and their number of due replies, so an idle loop reserves no sending time."""
    query = sa.select(Channel).where(
        Channel.halted_reason.is_(None),
        sa.exists().where(Message.state == MessageState.QUEUED, Message.due_at <= db_now()),
    )
    with read_only(), db.sessionmaker() as session:
        channels = session.scalars(query).all()
        session.expunge_all()
        counted = [(c, count_due(session.connection(), c.id, BATCH_SIZE)) for c in channels]
    return [(channel, due) for channel, due in counted if due]


def _seconds_until_next_due() -> float | None:
    query = sa.select(sa.func.min(Message.due_at)).where(Message.state == MessageState.QUEUED)
    with read_only(), db.engine.connect() as connection:
        due_at = connection.scalar(query)
    if due_at is None:
        return None
    return max(MIN_DELAY_S, (due_at - datetime.now(UTC)).total_seconds())


def list_due_sweeps() -> list[tuple[()]]:
    """Return one argument tuple each time; the scheduler decides how often."""
    return [()]


def sweep_replies() -> None:
    """Mark replies of dead workers as unknown, and skip replies that can no longer be sent."""
    window_s = get_settings(current_app).doubt_window_s
    with db.engine.begin() as connection:
        changed = expire_leases(connection, REPLY_SEND_TABLE, window_s) + skip_unsendable(
            connection
        )
    if changed:
        publish_now(LiveEventKind.CONVERSATION, [None])
