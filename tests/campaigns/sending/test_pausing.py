from __future__ import annotations

import pytest
import sqlalchemy as sa
from flask import Flask

from chatbot.campaigns import service
from chatbot.campaigns.models import Campaign, Recipient
from chatbot.campaigns.sending.pausing import MIN_FAILURES, pause_failing
from chatbot.channels.labels import describe_reason
from chatbot.core.db import db
from tests.support.campaigns import get_campaign_state, run_and_commit
from tests.support.factories import ago, make_campaign, make_recipients

PERCENT = 30


def pause_failing_campaigns() -> int:
    with db.engine.begin() as connection:
        return pause_failing(connection, PERCENT)


def make_campaign_with(failed: int, accepted: int) -> int:
    campaign = make_campaign(started_at=ago(600), state_changed_at=ago(600))
    make_recipients(campaign, failed, state="failed", failed_at=ago(60))
    make_recipients(campaign, accepted, state="delivered", accepted_at=ago(60))
    make_recipients(campaign, 5)
    return campaign.id


@pytest.mark.parametrize(
    ("failed", "accepted", "pauses"),
    [(MIN_FAILURES, 100, True), (MIN_FAILURES, 120, False), (MIN_FAILURES - 1, 0, False)],
)
def test_high_failure_rate_pauses_unless_there_are_few_failures(
    any_app: Flask, failed: int, accepted: int, pauses: bool
) -> None:
    number = make_campaign_with(failed, accepted)
    assert pause_failing_campaigns() == int(pauses)
    assert get_campaign_state(number) == ("paused" if pauses else "running")


def test_resumed_campaign_is_not_paused_by_earlier_failures(any_app: Flask) -> None:
    number = make_campaign_with(MIN_FAILURES, 0)
    assert pause_failing_campaigns() == 1
    reason = db.session.scalar(sa.select(Campaign.paused_reason))
    assert "30 %" in describe_reason(str(reason))
    assert describe_reason(str(reason)) != reason
    db.session.rollback()
    run_and_commit(service.resume_campaign, number, "marta")
    assert pause_failing_campaigns() == 0
    db.session.execute(
        sa.update(Recipient).where(Recipient.state == "failed").values(failed_at=ago(-1))
    )
    db.session.commit()
    assert pause_failing_campaigns() == 1
