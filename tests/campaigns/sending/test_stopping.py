from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from chatbot.campaigns.models import Campaign
from chatbot.campaigns.sending.source import CampaignSource
from chatbot.channels.gateway import GatewayAnswer
from chatbot.contacts.models import Contact
from chatbot.core.db import db
from chatbot.delivery.sender import BATCH_SIZE, MAX_UNWRITTEN_BATCHES
from tests.support.factories import ago, make_campaign, make_recipients
from tests.support.gateways import ScriptedGateway, accept
from tests.support.sending import make_sender, run_sender

PEOPLE = 600


@pytest.mark.parametrize("change_name", ["opt-out", "pause", "cancel"])
def test_stopping_applies_to_all_rows_not_claimed_yet(any_app: Flask, change_name: str) -> None:
    """Change something in the middle of a run; at most the batches in flight are still sent."""
    campaign = make_campaign()
    ids = make_recipients(campaign, PEOPLE)
    engine = db.engine
    change = {
        "opt-out": sa.update(Contact).values(opted_out_at=ago(1)),
        "pause": sa.update(Campaign).values(state="paused"),
        "cancel": sa.update(Campaign).values(state="cancelled"),
    }[change_name]
    sent_by_then: list[int] = []

    def script(body: Mapping[str, Any]) -> GatewayAnswer:
        if len(gateway.sent) >= 100 and not sent_by_then:
            sent_by_then.append(len(gateway.sent))
            with engine.begin() as connection:
                connection.execute(change)
        return accept(body)

    gateway = ScriptedGateway(script)
    run_sender(make_sender(CampaignSource(engine, campaign.channel_id), gateway, rate=400), 10)
    assert len(gateway.sent) <= sent_by_then[0] + BATCH_SIZE * MAX_UNWRITTEN_BATCHES
    assert len(ids) > len(gateway.sent)
