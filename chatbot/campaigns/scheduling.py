"""Campaigns that start by the clock."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from flask import current_app

from chatbot.campaigns.models import Campaign, CampaignState
from chatbot.campaigns.service import change_state, check_campaign, get_campaign, start_campaign
from chatbot.core import clock
from chatbot.core.db import db, db_now, read_only
from chatbot.core.errors import AppError, Conflict, InvalidInput
from chatbot.extensions import get_settings

log = logging.getLogger(__name__)


def parse_local_time(typed: str) -> datetime:
    """`2026-12-01 09:00` (or with a T, as browsers write it) by the company's clock.

    Raises:
        InvalidInput: it is none.
    """
    try:
        moment = datetime.fromisoformat(typed.strip())
    except ValueError:
        raise InvalidInput(
            "Write the moment as 2026-12-01 09:00, by the company's clock.", field="at"
        ) from None
    zone = ZoneInfo(get_settings(current_app).timezone)
    return moment.replace(tzinfo=moment.tzinfo or zone).astimezone(UTC)


def schedule_campaign(campaign_id: int, at: datetime, by: str) -> Campaign:
    """Start it at `at`; its audience is who is in it then. What would be refused is refused now.

    Raises:
        Conflict: it is no draft any more, with who was faster.
        InvalidInput: the moment is past, or something in the campaign would be refused.
    """
    campaign = get_campaign(campaign_id, lock=True)
    if at <= clock.now():
        raise InvalidInput("This moment is past: choose a later one.", field="at")
    check_campaign(campaign)
    change_state(campaign, CampaignState.SCHEDULED, by)
    campaign.scheduled_for = at
    campaign.paused_reason = None
    return campaign


def unschedule_campaign(campaign_id: int, by: str) -> Campaign:
    """A draft again. Raises Conflict unless it is scheduled."""
    campaign = get_campaign(campaign_id, lock=True)
    change_state(campaign, CampaignState.DRAFT, by)
    campaign.scheduled_for = None
    return campaign


def list_due_campaigns() -> list[tuple[int]]:
    query = sa.select(Campaign.id).where(
        Campaign.state == CampaignState.SCHEDULED, Campaign.scheduled_for <= db_now()
    )
    with read_only(), db.engine.connect() as connection:
        return [(campaign_id,) for campaign_id in connection.scalars(query)]


def start_scheduled_campaign(campaign_id: int) -> None:
    """Start a campaign whose time has come; twice is harmless. One that would be refused is a draft
    again, and says why."""
    campaign = get_campaign(campaign_id, lock=True)
    if campaign.state != CampaignState.SCHEDULED:
        db.session.rollback()
        return
    by = campaign.state_changed_by or ""
    try:
        start_campaign(campaign_id, by)
        db.session.commit()
    except Conflict:
        db.session.rollback()  # somebody started it by hand just now
    except AppError as error:
        db.session.rollback()
        log.warning("campaign %d could not start on time: %s", campaign_id, error)
        campaign = unschedule_campaign(campaign_id, by)
        campaign.paused_reason = str(error)[:300]
        db.session.commit()
