"""The home page's figures, cached for a few seconds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from flask import current_app

from chatbot.campaigns.models import CAMPAIGNS, Campaign, CampaignState
from chatbot.campaigns.queries import figures
from chatbot.contacts.models import Contact
from chatbot.conversations.models import (
    WAITING_COUNT,
    Conversation,
    ConversationState,
    Direction,
    Message,
)
from chatbot.core import clock
from chatbot.core.cache import Entry, Kind, get_all
from chatbot.core.db import db
from chatbot.delivery.states import State
from chatbot.extensions import settings_of
from chatbot.ops.alerts import FIRING, notices_of
from chatbot.ops.cache_stats import cache_stats
from chatbot.ops.health import check_health
from chatbot.webhooks.models import WebhookBody, WebhookUpdate, WorkState

MOST_CAMPAIGNS = 5


@dataclass(frozen=True, slots=True)
class Today:
    """Since midnight, company time: conversations and messages; and what waits or is queued now."""

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
class CampaignLine:
    id: int
    name: str
    state: str
    figures: dict[str, int]
    done: int


# Every message moves these numbers, so they may be some seconds old; what a person does (taking a
# conversation, pausing a campaign) shows at once.
TODAY: Kind[Today] = Kind("dashboard", Today, fresh_s=5, stale_s=5)
CAMPAIGNS_NOW: Kind[list[CampaignLine]] = Kind(
    "dashboard", list[CampaignLine], fresh_s=5, stale_s=5
)
MACHINES: Kind[dict[str, Any]] = Kind("dashboard", dict[str, Any], fresh_s=5, stale_s=5)


def read_home() -> dict[str, object]:
    """What the home page shows, in one round trip while it is cached."""
    zone = ZoneInfo(settings_of(current_app).timezone)
    midnight = datetime.combine(datetime.now(zone).date(), time(), zone).astimezone(UTC)
    health, stats, today, campaigns, alerts = get_all(
        Entry(MACHINES, "health", check_health),
        Entry(MACHINES, "stats", lambda: {"hit_rate": cache_stats()["hit_rate"]}),
        Entry(TODAY, f"{midnight:%Y%m%d%H%M}", partial(count_today, midnight), (WAITING_COUNT,)),
        Entry(CAMPAIGNS_NOW, "campaigns", running_campaigns, (CAMPAIGNS,)),
        FIRING,
    )
    return {
        "health": health,
        "stats": stats,
        "today": today,
        "campaigns": campaigns,
        "alerts": notices_of(alerts),
    }


def count_today(midnight: datetime) -> Today:
    today = Message.recorded_at >= midnight
    row = db.session.execute(
        sa.select(
            _number(Conversation, Conversation.last_message_at >= midnight).label("conversations"),
            _number(Conversation, Conversation.state == ConversationState.WAITING).label("waiting"),
            _number(Message, today, Message.direction == Direction.INBOUND).label("inbound"),
            _number(Contact).label("contacts"),
            _number(WebhookBody, WebhookBody.state == WorkState.NEW).label("bodies"),
            _number(WebhookUpdate, WebhookUpdate.state == WorkState.NEW).label("updates"),
            _number(Conversation, Conversation.turn_due_at <= clock.now()).label("turns"),
            _number(Message, Message.state == State.QUEUED).label("queued"),
        )
    ).one()
    counted = db.session.execute(
        sa.select(Message.state, sa.func.count())
        .where(today, Message.direction == Direction.OUTBOUND)
        .group_by(Message.state)
    )
    states = {str(state): int(number) for state, number in counted if state}
    return Today(**row._mapping, states=states, outbound=sum(states.values()))


def _number(model: type, *conditions: sa.ColumnElement[bool]) -> sa.ScalarSelect[int]:
    return sa.select(sa.func.count()).select_from(model).where(*conditions).scalar_subquery()


def running_campaigns() -> list[CampaignLine]:
    """What runs or is paused, else the one that ended last; each with its figures."""
    moving = Campaign.state.in_([CampaignState.RUNNING, CampaignState.PAUSED])
    query = sa.select(Campaign).order_by(Campaign.id.desc())
    campaigns = db.session.scalars(query.where(moving).limit(MOST_CAMPAIGNS)).all()
    ended = Campaign.state.in_([CampaignState.FINISHED, CampaignState.CANCELLED])
    campaigns = campaigns or db.session.scalars(query.where(ended).limit(1)).all()
    return [_describe(campaign) for campaign in campaigns]


def _describe(campaign: Campaign) -> CampaignLine:
    counts = figures(campaign.id)
    open_rows = counts["pending"] + counts["sending"]
    done = counts["planned"] - open_rows
    return CampaignLine(campaign.id, campaign.name, campaign.state, counts, done)
