"""A campaign's life by the service, and its sending with our own gateway."""

from __future__ import annotations

import asyncio
import itertools

import pytest
import sqlalchemy as sa

from chatbot.campaigns import service
from chatbot.campaigns.ledger import CampaignSource
from chatbot.campaigns.models import Campaign
from chatbot.campaigns.parameters import parse_parameters
from chatbot.campaigns.queries import figures
from chatbot.core import redis as prosa_redis
from chatbot.core.db import db
from chatbot.core.errors import AppError
from chatbot.delivery.pacer import Line, Pacer
from chatbot.delivery.sender import Sender
from tests.support.gateways import ScriptedGateway
from tests.support.making import make_channel, make_template

# A line of its own for each sending: nobody was written to on it before.
_lines = itertools.count(1000)
ALL = {"kind": "all"}


def draft(
    body: str = "Olá {{1}}!", params: tuple[str, ...] = ("1=field:name",), **more: object
) -> int:
    template = more.pop("template", None) or make_template(body).name
    fields = {
        "name": "Natal",
        "template": template,
        "language": "pt_BR",
        "audience": ALL,
        "parameters": parse_parameters(params),
        "created_by": "ana",
        **more,
    }
    campaign = service.create_campaign(make_channel(), service.Draft(**fields))  # type: ignore[arg-type]
    number = campaign.id
    db.session.commit()
    db.session.expunge_all()
    return number


def do(action: object, campaign_id: int, *args: str) -> None:
    action(campaign_id, *args)  # type: ignore[operator]
    db.session.commit()
    db.session.expunge_all()


def start(campaign_id: int, by: str = "ana") -> None:
    do(service.start_campaign, campaign_id, by)


def refused(campaign_id: int) -> AppError:
    with pytest.raises(AppError) as told:
        service.start_campaign(campaign_id, "ana")
    # What a careless caller would do: the refusal must have left nothing to commit.
    db.session.commit()
    assert state(campaign_id) == "draft"
    return told.value


def state(campaign_id: int) -> str:
    found = db.session.scalars(sa.select(Campaign.state).where(Campaign.id == campaign_id)).one()
    db.session.rollback()
    return found


def counts(campaign_id: int) -> dict[str, int]:
    """Its figures, which must add up whenever one looks."""
    found = figures(campaign_id)
    db.session.rollback()
    planned = found.pop("planned")
    assert planned == sum(found.values())
    return {name: number for name, number in found.items() if number}


def send(gateway: ScriptedGateway | None = None) -> ScriptedGateway:
    gateway = gateway or ScriptedGateway()
    source = CampaignSource(db.engine, make_channel().id)
    pacer = Pacer(prosa_redis.client(), Line(next(_lines), 1000))
    asyncio.run(Sender(db.engine, source, gateway, pacer, doubt_window_s=60).run(5))
    return gateway
