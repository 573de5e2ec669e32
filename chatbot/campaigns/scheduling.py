"""Campaigns that start at a scheduled time."""

from __future__ import annotations

import logging
from datetime import datetime
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
    """Parse `2026-12-01 09:00` or `2026-12-01T09:00` in the company's time zone; return UTC.

    Raises:
        InvalidInput: the text has another form, or no year from 1970 to 2099.
    """
    try:
        return clock.parse_time(typed, ZoneInfo(get_settings(current_app).timezone))
    except (ValueError, OverflowError):
        raise InvalidInput(
            "Enter the time as 2026-12-01 09:00, in the company's time zone.", field="at"
        ) from None


def schedule_campaign(campaign_id: int, at: datetime, by: str) -> Campaign:
    """Schedule the start for `at`. The audience is frozen then; everything else is checked now.

    Raises:
        Conflict: the campaign is no longer a draft.
        InvalidInput: the time is past, or the campaign could not be started.
    """
    campaign = get_campaign(campaign_id, lock=True)
    if at <= clock.now():
        raise InvalidInput("This time is in the past: choose a later one.", field="at")
    check_campaign(campaign)
    change_state(campaign, CampaignState.SCHEDULED, by)
    campaign.scheduled_for = at
    campaign.paused_reason = None
    return campaign


def unschedule_campaign(campaign_id: int, by: str) -> Campaign:
    """Turn a scheduled campaign back into a draft. Raises Conflict unless it is scheduled."""
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
    """Start a scheduled campaign that is due. Safe to run twice.

    If the start is refused, the campaign becomes a draft again and stores the reason.
    """
    campaign = get_campaign(campaign_id, lock=True)
    if campaign.state != CampaignState.SCHEDULED:
        db.session.rollback()
        return
    by = campaign.state_changed_by or ""
    try:
        start_campaign(campaign_id, by)
        db.session.commit()
    except Conflict:
        db.session.rollback()  # somebody started it by hand meanwhile
    except AppError as error:
        db.session.rollback()
        log.warning("campaign %d could not start on time: %s", campaign_id, error)
        campaign = unschedule_campaign(campaign_id, by)
        campaign.paused_reason = str(error)[:300]
        db.session.commit()
