from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest
import sqlalchemy as sa
from flask import Flask

from chatbot.channels.gateway import Refused
from chatbot.channels.whatsapp.payloads import text_body
from chatbot.conversations.models import Author, Conversation, Message
from chatbot.conversations.outbound import queue_message
from chatbot.conversations.replies import ReplySource, count_due, skip_unsendable
from chatbot.conversations.service import SERVICE_WINDOW, get_for_update
from chatbot.core import clock
from chatbot.core import redis as prosa_redis
from chatbot.core.db import db
from chatbot.delivery.sender import Sender
from chatbot.delivery.throttle import Throttle, ThrottleLimits
from tests.support.factories import make_channel, make_conversation
from tests.support.gateways import ScriptedGateway


def queue_texts(conversation: Conversation, *texts: str, author: Author = Author.BOT) -> None:
    attached = get_for_update(conversation.id)
    for text in texts:
        queue_message(attached, text_body(text), text, author)
    db.session.commit()


def run_reply_sender(gateway: ScriptedGateway | None = None) -> list[str]:
    gateway = gateway or ScriptedGateway()
    source = ReplySource(db.engine, make_channel().id)
    sender = Sender(
        db.engine,
        source,
        gateway,
        Throttle(prosa_redis.client(), ThrottleLimits(1, 1000)),
        doubt_window_s=60,
    )
    asyncio.run(sender.run(5))
    return [body["text"]["body"] for body in gateway.sent]


def skip_unsendable_rows() -> int:
    with db.engine.begin() as connection:
        return skip_unsendable(connection)


def list_rows() -> Sequence[tuple[str | None, str | None]]:
    query = sa.select(Message.state, Message.skip_reason).order_by(Message.id)
    found = [(row.state, row.skip_reason) for row in db.session.execute(query)]
    db.session.rollback()
    return found


def test_replies_are_sent_in_the_order_of_their_thread(any_app: Flask) -> None:
    for _ in range(3):
        queue_texts(make_conversation(), "boleto", "copie o código", "00020126pix")
    sent = run_reply_sender(ScriptedGateway(latency_s=0.01))
    assert len(sent) == 9
    by_person: dict[str, list[str]] = {}
    gateway = ScriptedGateway(latency_s=0.01)
    queue_texts(make_conversation(), "um", "dois", "três")
    queue_texts(make_conversation(), "um", "dois", "três")
    run_reply_sender(gateway)
    for body in gateway.sent:
        by_person.setdefault(body["to"], []).append(body["text"]["body"])
    assert list(by_person.values()) == [["um", "dois", "três"]] * 2


def test_a_deferred_reply_holds_back_later_ones_at_the_next_claim_too(any_app: Flask) -> None:
    queue_texts(make_conversation(), "um", "dois")
    assert run_reply_sender(ScriptedGateway(lambda _b: Refused(131000, "later"))) == ["um"]
    assert run_reply_sender() == []
    db.session.execute(sa.update(Message).values(due_at=clock.now() - timedelta(seconds=1)))
    db.session.commit()
    assert run_reply_sender() == ["um", "dois"]


def test_queued_bot_replies_are_skipped_after_an_agent_takes_over(any_app: Flask) -> None:
    conversation = make_conversation()
    queue_texts(conversation, "sou o robô")
    db.session.execute(sa.update(Conversation).values(state="assigned"))
    db.session.commit()
    queue_texts(conversation, "sou a Ana", author=Author.AGENT)
    assert run_reply_sender() == ["sou a Ana"]
    assert skip_unsendable_rows() == 1
    assert list_rows() == [("skipped", "agent_took_over"), ("accepted", None)]


def test_a_mandatory_reply_of_the_bot_is_sent_while_an_agent_has_the_conversation(
    any_app: Flask,
) -> None:
    conversation = make_conversation(state="assigned")
    attached = get_for_update(conversation.id)
    queue_message(attached, text_body("ok"), "ok", Author.BOT, is_mandatory=True)
    db.session.commit()
    assert skip_unsendable_rows() == 0
    assert run_reply_sender() == ["ok"]


@pytest.mark.parametrize("is_known", [True, False])
def test_outside_the_window_a_reply_is_skipped_with_the_reason(
    any_app: Flask, is_known: bool
) -> None:
    conversation = make_conversation()
    queue_texts(conversation, "tarde demais")
    closed = clock.now() - SERVICE_WINDOW - timedelta(seconds=1) if is_known else None
    db.session.execute(sa.update(Conversation).values(last_inbound_at=closed))
    db.session.commit()
    assert run_reply_sender() == []
    assert skip_unsendable_rows() == 1
    assert list_rows() == [("skipped", "window_closed")]


def test_a_contact_without_address_fails_with_the_reason(any_app: Flask) -> None:
    conversation = make_conversation()
    queue_texts(conversation, "oi")
    db.session.execute(sa.text("UPDATE contacts SET phone = NULL, wa_id = NULL"))
    db.session.commit()
    assert run_reply_sender() == []
    detail = db.session.scalars(sa.select(Message.error_detail)).one()
    assert (list_rows(), detail) == ([("failed", None)], "The contact has no WhatsApp address.")


def test_due_replies_are_counted_up_to_a_limit(any_app: Flask) -> None:
    for _ in range(5):
        queue_texts(make_conversation(), "oi")
    channel_id = make_channel().id
    with db.engine.connect() as connection:
        assert [count_due(connection, channel_id, most) for most in (3, 9)] == [3, 5]


def test_a_claim_does_not_lock_the_channel(any_app: Flask) -> None:
    """A new conversation, whose foreign key refers to the channel, can be inserted during a claim."""
    queue_texts(make_conversation(), "oi")
    channel_id = make_channel().id
    if db.engine.dialect.name != "postgresql":
        return  # SQLite has one writer at a time anyway
    with db.engine.begin() as other:
        other.execute(sa.text("SELECT 1 FROM channels FOR KEY SHARE"))
        other.execute(sa.text("SELECT 1 FROM conversations FOR UPDATE"))
        assert ReplySource(db.engine, channel_id).claim("t", 10, 45) == 1
