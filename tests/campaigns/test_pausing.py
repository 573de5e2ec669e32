from __future__ import annotations

import pytest
import sqlalchemy as sa
from flask import Flask

from chatbot.campaigns import service
from chatbot.campaigns.models import Campaign, Recipient
from chatbot.campaigns.pausing import FEW, pause_failing
from chatbot.channels.wording import reason_in_words
from chatbot.core.db import db
from tests.support.campaigns import do, state
from tests.support.making import ago, make_campaign, make_recipients

PERCENT = 30


def pause() -> int:
    with db.engine.begin() as connection:
        return pause_failing(connection, PERCENT)


def campaign_of(failed: int, accepted: int) -> int:
    campaign = make_campaign(started_at=ago(600), moved_at=ago(600))
    make_recipients(campaign, failed, state="failed", failed_at=ago(60))
    make_recipients(campaign, accepted, state="delivered", accepted_at=ago(60))
    make_recipients(campaign, 5)
    return campaign.id


@pytest.mark.parametrize(
    ("failed", "accepted", "pauses"),
    [(FEW, 100, True), (FEW, 120, False), (FEW - 1, 0, False)],
)
def test_too_large_a_share_of_failures_pauses_but_not_a_few_of_them(
    any_app: Flask, failed: int, accepted: int, pauses: bool
) -> None:
    number = campaign_of(failed, accepted)
    assert pause() == int(pauses)
    assert state(number) == ("paused" if pauses else "running")


def test_who_lets_it_go_on_is_not_stopped_again_by_what_failed_before(any_app: Flask) -> None:
    number = campaign_of(FEW, 0)
    assert pause() == 1
    reason = db.session.scalar(sa.select(Campaign.paused_reason))
    assert "30 %" in reason_in_words(str(reason))
    assert reason_in_words(str(reason)) != reason
    db.session.rollback()
    do(service.resume_campaign, number, "marta")
    assert pause() == 0
    db.session.execute(
        sa.update(Recipient).where(Recipient.state == "failed").values(failed_at=ago(-1))
    )
    db.session.commit()
    assert pause() == 1
