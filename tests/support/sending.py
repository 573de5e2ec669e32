"""A sender on the test's database, with our own gateway, and a source whose database fails."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa

from chatbot.campaigns.ledger import CampaignSource
from chatbot.campaigns.models import Recipient
from chatbot.conversations.models import Author, Direction, Message
from chatbot.conversations.replies import ReplySource
from chatbot.core import redis as prosa_redis
from chatbot.core.db import db
from chatbot.delivery.pacer import Line, Pacer
from chatbot.delivery.sender import Sender
from chatbot.delivery.source import Lane, Source
from tests.support.gateways import ScriptedGateway
from tests.support.making import (
    make_campaign,
    make_conversation,
    make_recipients,
)


def make_sender(
    source: Source, gateway: ScriptedGateway, rate: float = 2000, **more: Any
) -> Sender:
    pacer = Pacer(prosa_redis.client(), Line(1, rate))
    return Sender(db.engine, source, gateway, pacer, doubt_window_s=60, **more)


def campaign_of(count: int, **columns: Any) -> tuple[CampaignSource, list[int]]:
    campaign = make_campaign()
    ids = make_recipients(campaign, count, **columns)
    return CampaignSource(db.engine, campaign.channel_id), ids


def replies(texts: list[str]) -> tuple[ReplySource, list[int]]:
    """Replies of one thread."""
    conversation = make_conversation()
    now = conversation.last_inbound_at
    rows = [
        Message(
            conversation_id=conversation.id,
            direction=Direction.OUTBOUND,
            author=Author.BOT,
            kind="text",
            text=text,
            payload={"type": "text", "text": {"body": text}},
            occurred_at=now,
        )
        for text in texts
    ]
    for row in rows:
        db.session.add(row)
        db.session.flush()
    ids = [row.id for row in rows]
    db.session.commit()
    return ReplySource(db.engine, conversation.channel_id), ids


def states(model: type[Any] = Recipient) -> list[str]:
    found = db.session.scalars(sa.select(model.state).order_by(model.id)).all()
    db.session.rollback()
    return [str(state) for state in found]


def run(sender: Sender, seconds: float = 5.0) -> int:
    return asyncio.run(sender.run(seconds))


class Unreliable:
    """A source whose database does what the test says; otherwise the one it stands before."""

    def __init__(self, source: Source, **doing: Callable[[], None]) -> None:
        self._source, self._doing = source, doing
        self.ledger, self.is_reply = source.ledger, source.is_reply

    def claim(self, token: str, limit: int, lease_s: float) -> int:
        taken = self._source.claim(token, limit, lease_s)
        self._doing.get("after_claim", lambda: None)()
        return taken

    def load(self, token: str) -> list[Lane]:
        self._doing.get("before_load", lambda: None)()
        return self._source.load(token)

    def learn(self, connection: sa.Connection, wa_ids: Mapping[int, str]) -> None:
        self._source.learn(connection, wa_ids)

    def halt(self, *args: Any) -> None:
        self._doing.get("before_halt", lambda: None)()
        self._source.halt(*args)


def failing(times: int) -> Callable[[], None]:
    left = iter(range(times))

    def fail() -> None:
        if next(left, None) is not None:
            raise sa.exc.OperationalError("COMMIT", {}, Exception("server closed the connection"))

    return fail
