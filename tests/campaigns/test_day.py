from __future__ import annotations

import sqlalchemy as sa
from flask import Flask

from chatbot.campaigns.day import people_of_the_day
from chatbot.campaigns.ledger import CampaignSource
from chatbot.campaigns.models import Recipient
from chatbot.contacts.models import Contact
from chatbot.core import redis as prosa_redis
from chatbot.core.db import db
from chatbot.delivery.pacer import Line, Pacer
from chatbot.delivery.sender import Sender
from chatbot.delivery.states import State
from tests.support.gateways import ScriptedGateway
from tests.support.making import ago, make_campaign, make_conversation, make_recipients
from tests.support.sending import run, states

PORTFOLIO = "102290129340398"


def test_the_day_is_who_was_reached_in_24_hours_or_is_being_reached(any_app: Flask) -> None:
    campaign = make_campaign()
    reached = make_recipients(campaign, 2, state=State.READ, accepted_at=ago(80_000))
    make_recipients(campaign, 3, state=State.READ, accepted_at=ago(90_000))
    in_flight = make_recipients(campaign, 1, state=State.SENDING)
    make_recipients(campaign, 4)
    contacts = sa.select(Recipient.contact_id).where(Recipient.id.in_(reached + in_flight))
    expected = set(db.session.scalars(contacts))
    db.session.rollback()
    found = dict(people_of_the_day(db.engine, PORTFOLIO))
    assert set(found) == expected
    assert abs(min(found.values()) - ago(80_000).timestamp()) < 60
    assert dict(people_of_the_day(db.engine, "another")) == {}


def test_a_campaign_stops_at_the_days_people_and_an_open_window_does_not_count(
    any_app: Flask,
) -> None:
    campaign = make_campaign()
    first, *_ = make_recipients(campaign, 30)
    make_recipients(make_campaign(), 5, state=State.READ, accepted_at=ago(1000))
    contact = db.session.get_one(Contact, db.session.get_one(Recipient, first).contact_id)
    make_conversation(contact)
    line = Line(campaign.channel_id, 500, PORTFOLIO, daily_limit=20)
    gateway = ScriptedGateway()
    sender = Sender(
        db.engine,
        CampaignSource(db.engine, campaign.channel_id),
        gateway,
        Pacer(prosa_redis.client(), line, day=lambda: people_of_the_day(db.engine, PORTFOLIO)),
        doubt_window_s=60,
    )
    run(sender, 1.5)
    assert len(gateway.sent) == 16, "15 were left, and one who had written to us"
    assert states().count("queued") == 14
