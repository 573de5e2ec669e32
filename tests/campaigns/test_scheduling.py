from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from flask import Flask

from chatbot.campaigns import service
from chatbot.campaigns.models import Campaign, CampaignState, Recipient
from chatbot.campaigns.scheduling import (
    list_due_campaigns,
    parse_local_time,
    schedule_campaign,
    start_scheduled_campaign,
    unschedule_campaign,
)
from chatbot.core import clock
from chatbot.core.db import db
from chatbot.core.errors import Conflict, InvalidInput
from chatbot.message_templates.models import MessageTemplate
from tests.support.campaigns import get_campaign_state, make_draft, run_and_commit
from tests.support.factories import ago, make_contact


def make_due_campaign() -> int:
    """Make a scheduled campaign to one contact that is due."""
    make_contact("Ana")
    number = make_draft()
    run_and_commit(schedule_campaign, number, clock.now() + timedelta(hours=1), "marta")
    assert list_due_campaigns() == []
    db.session.execute(sa.update(Campaign).values(scheduled_for=ago(1)))
    db.session.commit()
    return number


def test_due_campaign_starts_once_with_the_audience_of_that_time(any_app: Flask) -> None:
    number = make_due_campaign()
    make_contact("Bia")
    assert list_due_campaigns() == [(number,)]
    start_scheduled_campaign(number)
    start_scheduled_campaign(number)
    assert get_campaign_state(number) == CampaignState.RUNNING
    assert db.session.scalar(sa.select(sa.func.count(Recipient.id))) == 2
    assert db.session.scalar(sa.select(Campaign.started_by)) == "marta"
    assert list_due_campaigns() == []


def test_refused_start_makes_it_a_draft_with_the_reason(any_app: Flask) -> None:
    number = make_due_campaign()
    db.session.execute(sa.update(MessageTemplate).values(status="PAUSED"))
    db.session.commit()
    start_scheduled_campaign(number)
    campaign = db.session.get_one(Campaign, number)
    assert (campaign.state, campaign.scheduled_for) == (CampaignState.DRAFT, None)
    assert "PAUSED" in (campaign.paused_reason or "")


def test_scheduled_campaign_can_be_unscheduled_or_started_now(any_app: Flask) -> None:
    number = make_due_campaign()
    run_and_commit(unschedule_campaign, number, "rui")
    assert get_campaign_state(number) == CampaignState.DRAFT
    with pytest.raises(Conflict):
        unschedule_campaign(number, "marta")
    db.session.rollback()
    run_and_commit(schedule_campaign, number, clock.now() + timedelta(hours=1), "marta")
    with pytest.raises(Conflict, match="marta has already scheduled"):
        schedule_campaign(number, clock.now() + timedelta(hours=2), "rui")
    db.session.rollback()
    run_and_commit(service.start_campaign, number, "rui")
    assert get_campaign_state(number) == CampaignState.RUNNING


def test_past_time_is_refused(any_app: Flask) -> None:
    make_contact("Ana")
    number = make_draft()
    with pytest.raises(InvalidInput, match="past") as refusal:
        schedule_campaign(number, ago(1), "marta")
    assert refusal.value.field == "at"


@pytest.mark.parametrize(
    "typed",
    [
        "9999-12-31 23:59",
        "9999-12-31T23:59:59-14:00",
        "0001-01-01T00:00+14:00",
        "2026-12-01",
        "2026-W49-2",
        "20261201T0900",
        "amanhã",
        "",
    ],
)
def test_time_that_cannot_be_meant_is_refused(app: Flask, typed: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        parse_local_time(typed)
    assert refusal.value.field == "at"


def test_time_is_read_in_the_zone_of_the_company(app: Flask) -> None:
    expected = datetime(2026, 12, 1, 12, tzinfo=UTC)
    for typed in ("2026-12-01 09:00", " 2026-12-01T09:00:00 ", "2026-12-01T12:00Z"):
        assert parse_local_time(typed) == expected
