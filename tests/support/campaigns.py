"""Campaigns created and started through the service, and sent with a scripted gateway."""

from __future__ import annotations

import asyncio
import itertools

import pytest
import sqlalchemy as sa

from chatbot.campaigns import service
from chatbot.campaigns.models import Campaign
from chatbot.campaigns.parameters import parse_parameters
from chatbot.campaigns.queries import count_by_state
from chatbot.campaigns.sending.source import CampaignSource
from chatbot.core import redis as prosa_redis
from chatbot.core.db import db
from chatbot.core.errors import AppError
from chatbot.delivery.sender import Sender
from chatbot.delivery.throttle import Throttle, ThrottleLimits
from tests.support.factories import make_channel, make_template
from tests.support.gateways import ScriptedGateway

# A new channel id for the throttle of each run, so that no earlier run has used its quotas.
_channel_ids = itertools.count(1000)
ALL_CONTACTS = {"kind": "all"}


def make_draft(
    body: str = "Olá {{1}}!", params: tuple[str, ...] = ("1=field:name",), **more: object
) -> int:
    template = more.pop("template", None) or make_template(body).name
    fields = {
        "name": "Natal",
        "template": template,
        "language": "pt_BR",
        "audience": ALL_CONTACTS,
        "parameters": parse_parameters(params),
        "created_by": "ana",
        **more,
    }
    campaign = service.create_campaign(make_channel(), service.CampaignDraft(**fields))  # type: ignore[arg-type]
    number = campaign.id
    db.session.commit()
    db.session.expunge_all()
    return number


def run_and_commit(action: object, campaign_id: int, *args: str) -> None:
    action(campaign_id, *args)  # type: ignore[operator]
    db.session.commit()
    db.session.expunge_all()


def start_campaign(campaign_id: int, by: str = "ana") -> None:
    run_and_commit(service.start_campaign, campaign_id, by)


def get_start_refusal(campaign_id: int) -> AppError:
    with pytest.raises(AppError) as refusal:
        service.start_campaign(campaign_id, "ana")
    # A caller may commit in spite of the refusal, which must have left nothing to commit.
    db.session.commit()
    assert get_campaign_state(campaign_id) == "draft"
    return refusal.value


def get_campaign_state(campaign_id: int) -> str:
    found = db.session.scalars(sa.select(Campaign.state).where(Campaign.id == campaign_id)).one()
    db.session.rollback()
    return found


def get_campaign_counts(campaign_id: int) -> dict[str, int]:
    """Return the counts above zero by state; they must always add up to `planned`."""
    found = count_by_state(campaign_id)
    db.session.rollback()
    planned = found.pop("planned")
    assert planned == sum(found.values())
    return {name: number for name, number in found.items() if number}


def run_campaign_sender(gateway: ScriptedGateway | None = None) -> ScriptedGateway:
    gateway = gateway or ScriptedGateway()
    source = CampaignSource(db.engine, make_channel().id)
    throttle = Throttle(prosa_redis.client(), ThrottleLimits(next(_channel_ids), 1000))
    asyncio.run(Sender(db.engine, source, gateway, throttle, doubt_window_s=60).run(5))
    return gateway
