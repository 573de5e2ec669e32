from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa
from flask import Flask

from chatbot.campaigns import service
from chatbot.campaigns.models import Campaign, CampaignState, Recipient
from chatbot.campaigns.scheduling import (
    launch,
    launches_due,
    schedule_campaign,
    unschedule_campaign,
)
from chatbot.core import clock
from chatbot.core.db import db
from chatbot.core.errors import Conflict, InvalidInput
from chatbot.message_templates.models import MessageTemplate
from tests.support.campaigns import do, draft, state
from tests.support.making import ago, make_contact


def scheduled() -> int:
    """A campaign to one person, whose moment has come."""
    make_contact("Ana")
    number = draft()
    do(schedule_campaign, number, clock.now() + timedelta(hours=1), "marta")
    assert launches_due() == []
    db.session.execute(sa.update(Campaign).values(scheduled_for=ago(1)))
    db.session.commit()
    return number


def test_it_starts_when_its_moment_comes_with_who_is_there_then(any_app: Flask) -> None:
    number = scheduled()
    make_contact("Bia")
    assert launches_due() == [(number,)]
    launch(number)
    launch(number)
    assert state(number) == CampaignState.RUNNING
    assert db.session.scalar(sa.select(sa.func.count(Recipient.id))) == 2
    assert db.session.scalar(sa.select(Campaign.started_by)) == "marta"
    assert launches_due() == []


def test_one_that_cannot_start_is_a_draft_again_and_says_why(any_app: Flask) -> None:
    number = scheduled()
    db.session.execute(sa.update(MessageTemplate).values(status="PAUSED"))
    db.session.commit()
    launch(number)
    campaign = db.session.get_one(Campaign, number)
    assert (campaign.state, campaign.scheduled_for) == (CampaignState.DRAFT, None)
    assert "PAUSED" in (campaign.paused_reason or "")


def test_it_can_be_taken_back_or_started_at_once(any_app: Flask) -> None:
    number = scheduled()
    do(unschedule_campaign, number, "rui")
    assert state(number) == CampaignState.DRAFT
    with pytest.raises(Conflict):
        unschedule_campaign(number, "marta")
    db.session.rollback()
    do(schedule_campaign, number, clock.now() + timedelta(hours=1), "marta")
    with pytest.raises(Conflict, match="scheduled already, by marta"):
        schedule_campaign(number, clock.now() + timedelta(hours=2), "rui")
    db.session.rollback()
    do(service.start_campaign, number, "rui")
    assert state(number) == CampaignState.RUNNING


def test_a_moment_that_is_past_is_refused(any_app: Flask) -> None:
    make_contact("Ana")
    number = draft()
    with pytest.raises(InvalidInput, match="past") as told:
        schedule_campaign(number, ago(1), "marta")
    assert told.value.field == "at"
