"""Backlog of each queue, from SQL: it is right even if tasks in Redis were lost."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from chatbot.campaigns.models import Campaign, CampaignState, Recipient
from chatbot.channels.media.models import MediaFile
from chatbot.channels.models import Channel
from chatbot.conversations.models import Conversation, Message
from chatbot.core import clock
from chatbot.core.db import db, read_only
from chatbot.delivery.models import DoubleAcceptance, MessageState
from chatbot.webhooks.models import WebhookBody, WebhookQueue, WebhookUpdate, WorkState

RECENT = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Backlog:
    """Number of items that are due, and for how many seconds the oldest has been; 0 if there are none.

    Campaigns take long, so `age_s` is 0 for them and `is_moving` says whether any message is being sent.
    """

    count: int
    age_s: float
    is_moving: bool = True


def measure_backlogs() -> dict[str, Backlog]:
    """Return the backlog by queue. Each query uses an index of open rows."""
    now = clock.now()
    with read_only(), db.engine.connect() as connection:
        return {
            "inbound": _webhook_backlog(connection, WebhookQueue.MESSAGES, now),
            "statuses": _webhook_backlog(connection, WebhookQueue.STATUSES, now),
            "turns": _due_backlog(connection, Conversation.turn_due_at, now),
            "replies": _due_backlog(
                connection, Message.due_at, now, Message.state == MessageState.QUEUED
            ),
            "media": _due_backlog(
                connection, MediaFile.due_at, now, MediaFile.transfer.is_not(None)
            ),
            "campaigns": _campaign_backlog(connection, now),
        }


def _webhook_backlog(connection: sa.Connection, queue: WebhookQueue, now: datetime) -> Backlog:
    """Count bodies to be split and updates to be applied."""
    figures = sa.select(sa.func.count(), sa.func.min(WebhookBody.received_at))
    bodies = figures.where(WebhookBody.queue == queue, WebhookBody.state == WorkState.NEW)
    # An update's age counts from its body's arrival: Meta's timestamp is old in a replay.
    updates = figures.join(WebhookUpdate, WebhookUpdate.body_id == WebhookBody.id).where(
        WebhookUpdate.queue == queue, WebhookUpdate.state == WorkState.NEW
    )
    found = [connection.execute(query).one() for query in (bodies, updates)]
    oldest = min((moment for _count, moment in found if moment), default=None)
    return Backlog(sum(count for count, _moment in found), _age_s(oldest, now))


def _due_backlog(
    connection: sa.Connection, column: Any, now: datetime, *conditions: sa.ColumnElement[bool]
) -> Backlog:
    query = sa.select(sa.func.count(), sa.func.min(column)).where(column <= now, *conditions)
    count, oldest = connection.execute(query).one()
    return Backlog(count, _age_s(oldest, now))


def _campaign_backlog(connection: sa.Connection, now: datetime) -> Backlog:
    """Count due recipients of running campaigns whose channel may send."""
    may_send = (
        sa.select(Campaign.id)
        .join(Channel, Channel.id == Campaign.channel_id)
        .where(Campaign.state == CampaignState.RUNNING, Channel.halted_reason.is_(None))
    )
    mine = Recipient.campaign_id.in_(may_send)
    waiting = sa.select(sa.func.count()).where(
        mine, Recipient.state == MessageState.QUEUED, Recipient.due_at <= now
    )
    on_the_way = sa.select(sa.exists().where(mine, Recipient.state == MessageState.SENDING))
    count = connection.scalar(waiting) or 0
    return Backlog(count, 0.0, is_moving=count == 0 or bool(connection.scalar(on_the_way)))


def _age_s(oldest: datetime | None, now: datetime) -> float:
    return max(0.0, (now - oldest).total_seconds()) if oldest else 0.0


def count_messages_by_state() -> dict[tuple[str, str], int]:
    """Count messages of the last 24 hours, and recipients of recent campaigns, by (table, state)."""
    since = clock.now() - RECENT
    messages = (
        sa.select(Message.state, sa.func.count())
        .where(Message.recorded_at >= since, Message.state.is_not(None))
        .group_by(Message.state)
    )
    lately = sa.select(Campaign.id).where(
        sa.or_(
            Campaign.state.in_((CampaignState.RUNNING, CampaignState.PAUSED)),
            Campaign.finished_at >= since,
        )
    )
    recipients = (
        sa.select(Recipient.state, sa.func.count())
        .where(Recipient.campaign_id.in_(lately), Recipient.state.is_not(None))
        .group_by(Recipient.state)
    )
    with read_only(), db.engine.connect() as connection:
        return {
            (table, str(state)): count
            for table, query in (("messages", messages), ("recipients", recipients))
            for state, count in connection.execute(query)
        }


def count_double_acceptances() -> int:
    """Count the messages of which Meta accepted two attempts, in the last 24 hours."""
    query = sa.select(sa.func.count()).where(DoubleAcceptance.seen_at >= clock.now() - RECENT)
    with read_only(), db.engine.connect() as connection:
        return connection.scalar(query) or 0
