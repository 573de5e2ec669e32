from __future__ import annotations

import sqlalchemy as sa
from flask import Flask

from chatbot.campaigns.models import Recipient
from chatbot.campaigns.sending.daily_limit import iter_recently_reached
from chatbot.campaigns.sending.source import CampaignSource
from chatbot.contacts.models import Contact
from chatbot.core import redis as prosa_redis
from chatbot.core.db import db
from chatbot.delivery.models import MessageState
from chatbot.delivery.sender import Sender
from chatbot.delivery.throttle import Throttle, ThrottleLimits
from tests.support.factories import ago, make_campaign, make_conversation, make_recipients
from tests.support.gateways import ScriptedGateway
from tests.support.sending import list_states, run_sender

PORTFOLIO = "102290129340398"


def test_daily_count_has_contacts_reached_within_24_hours_or_in_flight(any_app: Flask) -> None:
    campaign = make_campaign()
    reached = make_recipients(campaign, 2, state=MessageState.READ, accepted_at=ago(80_000))
    make_recipients(campaign, 3, state=MessageState.READ, accepted_at=ago(90_000))
    in_flight = make_recipients(campaign, 1, state=MessageState.SENDING)
    make_recipients(campaign, 4)
    contacts = sa.select(Recipient.contact_id).where(Recipient.id.in_(reached + in_flight))
    expected = set(db.session.scalars(contacts))
    db.session.rollback()
    found = dict(iter_recently_reached(db.engine, PORTFOLIO))
    assert set(found) == expected
    assert abs(min(found.values()) - ago(80_000).timestamp()) < 60
    assert dict(iter_recently_reached(db.engine, "another")) == {}


def test_campaign_stops_at_the_daily_limit_except_for_open_windows(
    any_app: Flask,
) -> None:
    campaign = make_campaign()
    first, *_ = make_recipients(campaign, 30)
    make_recipients(make_campaign(), 5, state=MessageState.READ, accepted_at=ago(1000))
    contact = db.session.get_one(Contact, db.session.get_one(Recipient, first).contact_id)
    make_conversation(contact)
    limits = ThrottleLimits(campaign.channel_id, 500, PORTFOLIO, daily_limit=20)
    gateway = ScriptedGateway()
    sender = Sender(
        db.engine,
        CampaignSource(db.engine, campaign.channel_id),
        gateway,
        Throttle(
            prosa_redis.client(),
            limits,
            load_recent_contacts=lambda: iter_recently_reached(db.engine, PORTFOLIO),
        ),
        doubt_window_s=60,
    )
    run_sender(sender, 1.5)
    assert len(gateway.sent) == 16, "15 left of the limit, and one with an open service window"
    assert list_states().count("queued") == 14
