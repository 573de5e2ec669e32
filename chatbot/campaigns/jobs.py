"""The sending job, a time slice of many claims, and the sweep that settles and finishes."""

from __future__ import annotations

import asyncio

import sqlalchemy as sa
from flask import current_app

from chatbot.campaigns.day import people_of_the_day
from chatbot.campaigns.ending import finish_done
from chatbot.campaigns.ledger import LEDGER, CampaignSource, skip_suppressed
from chatbot.campaigns.models import Campaign, CampaignState, OnDoubt, Recipient
from chatbot.campaigns.pausing import pause_failing, pause_unsendable
from chatbot.campaigns.scheduling import launch, launches_due
from chatbot.campaigns.sending_hours import sending_hours
from chatbot.channels.models import Channel
from chatbot.channels.service import make_gateway
from chatbot.core import clock
from chatbot.core import redis as prosa_redis
from chatbot.core.db import db, db_now, reading
from chatbot.core.hints import Kind, publish_committed
from chatbot.core.queue import ring
from chatbot.delivery.ledger import expire_leases, requeue_unsent
from chatbot.delivery.pacer import Line, Pacer
from chatbot.delivery.receipts import never_sent, webhooks_flow
from chatbot.delivery.sender import Sender
from chatbot.delivery.states import State
from chatbot.extensions import settings_of

SLICE_S = 50.0

__all__ = ["channels_due", "launch", "launches_due", "send", "settle", "settle_due"]


def send(channel_id: int) -> None:
    """Send what is due on a channel for one time slice. Twice at once, or twice, is harmless."""
    with reading(), db.sessionmaker() as session:
        channel = session.get(Channel, channel_id)
        session.expunge_all()
    if channel is None or channel.halted_reason:
        return
    settings = settings_of(current_app)
    engine = db.engine
    line = Line(
        channel_id,
        settings.messages_per_second,
        portfolio=channel.business_account_id,
        daily_limit=channel.daily_limit,
        workers=settings.campaign_workers,
    )
    sender = Sender(
        engine,
        CampaignSource(engine, channel_id, sending_hours(settings)),
        make_gateway(channel),
        Pacer(prosa_redis.client(), line, day=lambda: people_of_the_day(engine, line.portfolio)),
        doubt_window_s=settings.doubt_window_s,
        call_s=settings.call_timeout_s,
    )
    asyncio.run(sender.run(SLICE_S))
    settle()
    if (channel_id,) in channels_due():
        ring("campaigns.send", channel_id)


def channels_due() -> list[tuple[int]]:
    """The channels that have somebody to write to now; none outside of the sending hours."""
    if not sending_hours(settings_of(current_app)).is_open(clock.now()):
        return []
    due = sa.exists().where(
        Recipient.campaign_id == Campaign.id,
        Recipient.state == State.QUEUED,
        Recipient.due_at <= db_now(),
    )
    query = (
        sa.select(Campaign.channel_id)
        .join(Channel, Channel.id == Campaign.channel_id)
        .where(Campaign.state == CampaignState.RUNNING, Channel.halted_reason.is_(None), due)
        .distinct()
    )
    with reading(), db.engine.connect() as connection:
        return [(channel_id,) for channel_id in connection.scalars(query)]


def settle_due() -> list[tuple[()]]:
    """Campaigns that run, or rows in flight of ones that were stopped, need looking after."""
    running = sa.exists().where(Campaign.state == CampaignState.RUNNING)
    in_flight = sa.exists().where(Recipient.state == State.SENDING)
    came_back = sa.exists().where(
        Campaign.state == CampaignState.CANCELLED,
        Recipient.campaign_id == Campaign.id,
        Recipient.state == State.QUEUED,
    )
    query = sa.select(sa.or_(running, in_flight, came_back))
    with reading(), db.engine.connect() as connection:
        return [()] if connection.scalar(query) else []


def settle() -> None:
    """Doubt is named, evidence weighed, the unwilling skipped, the finished finished."""
    window_s = settings_of(current_app).doubt_window_s
    with db.engine.begin() as connection:
        changed = [
            expire_leases(connection, LEDGER, window_s),
            requeue_unsent(connection, LEDGER, _may_be_resent()),
            skip_suppressed(connection),
            pause_unsendable(connection),
            pause_failing(connection, settings_of(current_app).most_failures_percent),
            finish_done(connection),
        ]
    if any(changed):
        publish_committed(Kind.CAMPAIGN, [None])


def _may_be_resent() -> sa.ColumnElement[bool]:
    """The campaign wants it, and there is proof that the first attempt never left."""
    flowing = webhooks_flow(LEDGER, lambda other: other.c.campaign_id == Recipient.campaign_id)
    channel_id = (
        sa.select(Campaign.channel_id)
        .where(Campaign.id == Recipient.campaign_id)
        .correlate(Recipient)  # by name: two levels deep it would not happen by itself
        .scalar_subquery()
    )
    wanted = sa.exists().where(
        Campaign.id == Recipient.campaign_id,
        Campaign.on_doubt == OnDoubt.RESEND,
        Campaign.state == CampaignState.RUNNING,
    )
    return sa.and_(wanted, never_sent(LEDGER, channel_id, flowing))
