"""Senders with a scripted gateway, and a source whose database fails."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa

from chatbot.campaigns.models import Recipient
from chatbot.campaigns.sending.source import CampaignSource
from chatbot.conversations.models import Author, Direction, Message
from chatbot.conversations.replies import ReplySource
from chatbot.core import redis as prosa_redis
from chatbot.core.db import db
from chatbot.delivery.outbound import RecipientQueue, SendSource
from chatbot.delivery.sender import Sender
from chatbot.delivery.throttle import Throttle, ThrottleLimits
from tests.support.factories import make_campaign, make_conversation, make_recipients
from tests.support.gateways import ScriptedGateway


def make_sender(
    source: SendSource, gateway: ScriptedGateway, rate: float = 2000, **more: Any
) -> Sender:
    throttle = Throttle(prosa_redis.client(), ThrottleLimits(1, rate))
    return Sender(db.engine, source, gateway, throttle, doubt_window_s=60, **more)


def make_campaign_source(count: int, **columns: Any) -> tuple[CampaignSource, list[int]]:
    campaign = make_campaign()
    ids = make_recipients(campaign, count, **columns)
    return CampaignSource(db.engine, campaign.channel_id), ids


def make_reply_source(texts: list[str]) -> tuple[ReplySource, list[int]]:
    """Create queued replies of one conversation; return their source and ids."""
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


def list_states(model: type[Any] = Recipient) -> list[str]:
    found = db.session.scalars(sa.select(model.state).order_by(model.id)).all()
    db.session.rollback()
    return [str(state) for state in found]


def run_sender(sender: Sender, seconds: float = 5.0) -> int:
    return asyncio.run(sender.run(seconds))


class UnreliableSource:
    """Source that calls the test's hooks, for instance to fail, and otherwise delegates to another."""

    def __init__(self, source: SendSource, **hooks: Callable[[], None]) -> None:
        self._source, self._hooks = source, hooks
        self.send_table, self.is_reply = source.send_table, source.is_reply

    def claim(self, token: str, limit: int, lease_s: float) -> int:
        taken = self._source.claim(token, limit, lease_s)
        self._hooks.get("after_claim", lambda: None)()
        return taken

    def load(self, token: str) -> list[RecipientQueue]:
        self._hooks.get("before_load", lambda: None)()
        return self._source.load(token)

    def save_wa_ids(self, connection: sa.Connection, wa_ids: Mapping[int, str]) -> None:
        self._source.save_wa_ids(connection, wa_ids)

    def halt(self, *args: Any) -> None:
        self._hooks.get("before_halt", lambda: None)()
        self._source.halt(*args)


def fail_first(times: int) -> Callable[[], None]:
    left = iter(range(times))

    def fail() -> None:
        if next(left, None) is not None:
            raise sa.exc.OperationalError("COMMIT", {}, Exception("server closed the connection"))

    return fail
