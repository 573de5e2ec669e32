"""Tasks of campaigns: sending for a limited time, reconciliation, and scheduled starts."""

from __future__ import annotations

import asyncio

import sqlalchemy as sa
from flask import current_app

from chatbot.campaigns.models import Campaign, CampaignState, OnDoubt, Recipient
from chatbot.campaigns.scheduling import list_due_campaigns, start_scheduled_campaign
from chatbot.campaigns.sending.completion import finish_completed
from chatbot.campaigns.sending.daily_limit import iter_recently_reached
from chatbot.campaigns.sending.pausing import pause_failing, pause_unsendable
from chatbot.campaigns.sending.send_table import SEND_TABLE
from chatbot.campaigns.sending.sending_hours import get_sending_hours
from chatbot.campaigns.sending.source import CampaignSource
from chatbot.campaigns.suppression import skip_suppressed
from chatbot.channels.models import Channel
from chatbot.channels.service import make_gateway
from chatbot.core import clock
from chatbot.core import redis as prosa_redis
from chatbot.core.db import db, db_now, read_only
from chatbot.core.live_events import LiveEventKind, publish_now
from chatbot.core.tasks import enqueue
from chatbot.delivery.models import MessageState
from chatbot.delivery.send_table import (
    expire_leases,
    proves_unsent,
    receives_statuses,
    requeue_unsent,
)
from chatbot.delivery.sender import Sender
from chatbot.delivery.throttle import Throttle, ThrottleLimits
from chatbot.extensions import get_settings
from config import Settings

SEND_RUN_S = 50.0
SETTINGS_CHECK_S = 2.0

__all__ = [
    "list_due_campaigns",
    "list_due_channels",
    "list_due_reconciliations",
    "reconcile_campaigns",
    "send_due_messages",
    "start_scheduled_campaign",
]


def send_due_messages(channel_id: int) -> None:
    """Send due messages of a channel for SEND_RUN_S. Safe to run twice, even at the same time."""
    with read_only(), db.sessionmaker() as session:
        channel = session.get(Channel, channel_id)
        session.expunge_all()
    if channel is None or channel.halted_reason:
        return
    settings = get_settings(current_app)
    engine = db.engine
    limits = ThrottleLimits(
        channel_id,
        settings.messages_per_second,
        portfolio=channel.business_account_id,
        daily_limit=channel.daily_limit,
        workers=settings.campaign_workers,
    )
    sender = Sender(
        engine,
        CampaignSource(engine, channel_id, get_sending_hours(settings)),
        make_gateway(channel),
        Throttle(
            prosa_redis.client(),
            limits,
            load_recent_contacts=lambda: iter_recently_reached(engine, limits.portfolio),
        ),
        doubt_window_s=settings.doubt_window_s,
        call_timeout_s=settings.call_timeout_s,
    )
    asyncio.run(_send_until_settings_change(sender, settings))
    reconcile_campaigns()
    if (channel_id,) in list_due_channels():
        enqueue("campaigns.send", channel_id)


async def _send_until_settings_change(sender: Sender, settings: Settings) -> None:
    """Run the sender; a change of pace or hours ends the run, and the next one begins with the new ones."""
    run = asyncio.create_task(sender.run(SEND_RUN_S))
    while not (await asyncio.wait([run], timeout=SETTINGS_CHECK_S))[0]:
        # In a thread: reading may wait for Redis or SQL, and the sends must not.
        if await asyncio.to_thread(get_settings, current_app) != settings:
            sender.stop()
            break
    await run


def list_due_channels() -> list[tuple[int]]:
    """Return the channels with due recipients; none outside the sending hours."""
    if not get_sending_hours(get_settings(current_app)).is_open(clock.now()):
        return []
    due = sa.exists().where(
        Recipient.campaign_id == Campaign.id,
        Recipient.state == MessageState.QUEUED,
        Recipient.due_at <= db_now(),
    )
    query = (
        sa.select(Campaign.channel_id)
        .join(Channel, Channel.id == Campaign.channel_id)
        .where(Campaign.state == CampaignState.RUNNING, Channel.halted_reason.is_(None), due)
        .distinct()
    )
    with read_only(), db.engine.connect() as connection:
        return [(channel_id,) for channel_id in connection.scalars(query)]


def list_due_reconciliations() -> list[tuple[()]]:
    """Return one entry if a campaign is running, or rows of a stopped one are unfinished."""
    running = sa.exists().where(Campaign.state == CampaignState.RUNNING)
    in_flight = sa.exists().where(Recipient.state == MessageState.SENDING)
    came_back = sa.exists().where(
        Campaign.state == CampaignState.CANCELLED,
        Recipient.campaign_id == Campaign.id,
        Recipient.state == MessageState.QUEUED,
    )
    query = sa.select(sa.or_(running, in_flight, came_back))
    with read_only(), db.engine.connect() as connection:
        return [()] if connection.scalar(query) else []


def reconcile_campaigns() -> None:
    """Expire leases, requeue unsent rows, skip suppressed ones, and pause or finish campaigns."""
    window_s = get_settings(current_app).doubt_window_s
    with db.engine.begin() as connection:
        changed = [
            expire_leases(connection, SEND_TABLE, window_s),
            requeue_unsent(connection, SEND_TABLE, _is_resendable()),
            skip_suppressed(connection),
            pause_unsendable(connection),
            pause_failing(connection, get_settings(current_app).max_failures_percent),
            finish_completed(connection),
        ]
    if any(changed):
        publish_now(LiveEventKind.CAMPAIGN, [None])


def _is_resendable() -> sa.ColumnElement[bool]:
    """Return the condition that the campaign resends doubtful rows and this one is proven unsent."""
    flowing = receives_statuses(
        SEND_TABLE, lambda other: other.c.campaign_id == Recipient.campaign_id
    )
    channel_id = (
        sa.select(Campaign.channel_id)
        .where(Campaign.id == Recipient.campaign_id)
        .correlate(Recipient)  # not automatic two levels deep
        .scalar_subquery()
    )
    wanted = sa.exists().where(
        Campaign.id == Recipient.campaign_id,
        Campaign.on_doubt == OnDoubt.RESEND,
        Campaign.state == CampaignState.RUNNING,
    )
    return sa.and_(wanted, proves_unsent(SEND_TABLE, channel_id, flowing))
