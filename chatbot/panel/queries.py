"""Figures of the home page, cached for a few seconds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from flask import current_app

from chatbot.campaigns.models import CAMPAIGNS_CACHE_TAG, Campaign, CampaignState
from chatbot.campaigns.queries import count_by_state
from chatbot.contacts.models import Contact
from chatbot.conversations.models import (
    WAITING_COUNT_CACHE_TAG,
    Conversation,
    ConversationState,
    Direction,
    Message,
)
from chatbot.core import clock
from chatbot.core.cache import CacheEntry, CacheSpec
from chatbot.core.db import db
from chatbot.delivery.models import MessageState
from chatbot.extensions import cache, get_settings
from chatbot.ops.alerts import FIRING_ALERTS, render_notices
from chatbot.ops.cache_stats import get_cache_stats
from chatbot.ops.health import check_health
from chatbot.webhooks.models import WebhookBody, WebhookUpdate, WorkState

MAX_CAMPAIGNS = 5


@dataclass(frozen=True, slots=True)
class TodayFigures:
    """Conversations and messages since midnight (company time), and what is waiting or queued now."""

    conversations: int
    waiting: int
    inbound: int
    contacts: int
    bodies: int
    updates: int
    turns: int
    queued: int
    outbound: int
    states: dict[str, int]


@dataclass(frozen=True, slots=True)
class CampaignOverview:
    id: int
    name: str
    state: str
    figures: dict[str, int]
    done: int


# Every message changes these numbers, so they may be a few seconds old. A user's own action (taking a
# conversation, pausing a campaign) invalidates a tag and shows at once.
TODAY_CACHE: CacheSpec[TodayFigures] = CacheSpec("dashboard", TodayFigures, fresh_s=5, stale_s=5)
CAMPAIGNS_CACHE: CacheSpec[list[CampaignOverview]] = CacheSpec(
    "dashboard", list[CampaignOverview], fresh_s=5, stale_s=5
)
HEALTH_CACHE: CacheSpec[dict[str, Any]] = CacheSpec(
    "dashboard", dict[str, Any], fresh_s=5, stale_s=5
)


def get_dashboard() -> dict[str, object]:
    """Return the context of the home page. One round trip to Redis while it is cached."""
    zone = ZoneInfo(get_settings(current_app).timezone)
    midnight = datetime.combine(datetime.now(zone).date(), time(), zone).astimezone(UTC)
    health, stats, today, campaigns, alerts = cache.get_or_compute_all(
        CacheEntry(HEALTH_CACHE, "health", check_health),
        CacheEntry(HEALTH_CACHE, "stats", lambda: {"hit_rate": get_cache_stats()["hit_rate"]}),
        CacheEntry(
            TODAY_CACHE,
            f"{midnight:%Y%m%d%H%M}",
            partial(count_today, midnight),
            (WAITING_COUNT_CACHE_TAG,),
        ),
        CacheEntry(CAMPAIGNS_CACHE, "campaigns", list_dashboard_campaigns, (CAMPAIGNS_CACHE_TAG,)),
        FIRING_ALERTS,
    )
    return {
        "health": health,
        "stats": stats,
        "today": today,
        "campaigns": campaigns,
        "alerts": render_notices(alerts),
    }


def count_today(midnight: datetime) -> TodayFigures:
    today = Message.recorded_at >= midnight
    row = db.session.execute(
        sa.select(
            _count(Conversation, Conversation.last_message_at >= midnight).label("conversations"),
            _count(Conversation, Conversation.state == ConversationState.WAITING).label("waiting"),
            _count(Message, today, Message.direction == Direction.INBOUND).label("inbound"),
            _count(Contact).label("contacts"),
            _count(WebhookBody, WebhookBody.state == WorkState.NEW).label("bodies"),
            _count(WebhookUpdate, WebhookUpdate.state == WorkState.NEW).label("updates"),
            _count(Conversation, Conversation.turn_due_at <= clock.now()).label("turns"),
            _count(Message, Message.state == MessageState.QUEUED).label("queued"),
        )
    ).one()
    counted = db.session.execute(
        sa.select(Message.state, sa.func.count())
        .where(today, Message.direction == Direction.OUTBOUND)
        .group_by(Message.state)
    )
    states = {str(state): int(number) for state, number in counted if state}
    outbound = sum(states.values()) - states.get(MessageState.SKIPPED, 0)
    return TodayFigures(**row._mapping, states=states, outbound=outbound)


def _count(model: type, *conditions: sa.ColumnElement[bool]) -> sa.ScalarSelect[int]:
    return sa.select(sa.func.count()).select_from(model).where(*conditions).scalar_subquery()


def list_dashboard_campaigns() -> list[CampaignOverview]:
    """Return running and paused campaigns with their figures, else the one that was created last."""
    moving = Campaign.state.in_([CampaignState.RUNNING, CampaignState.PAUSED])
    query = sa.select(Campaign).order_by(Campaign.id.desc())
    campaigns = db.session.scalars(query.where(moving).limit(MAX_CAMPAIGNS)).all()
    ended = Campaign.state.in_([CampaignState.FINISHED, CampaignState.CANCELLED])
    campaigns = campaigns or db.session.scalars(query.where(ended).limit(1)).all()
    return [_make_overview(campaign) for campaign in campaigns]


def _make_overview(campaign: Campaign) -> CampaignOverview:
    counts = count_by_state(campaign.id)
    open_rows = counts["pending"] + counts["sending"]
    done = counts["planned"] - open_rows
    return CampaignOverview(campaign.id, campaign.name, campaign.state, counts, done)
