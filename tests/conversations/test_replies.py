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
from chatbot.conversations.service import SERVICE_WINDOW, get_for_change
from chatbot.core import clock
from chatbot.core import redis as prosa_redis
from chatbot.core.db import db
from chatbot.delivery.pacer import Line, Pacer
from chatbot.delivery.sender import Sender
from tests.support.gateways import ScriptedGateway
from tests.support.making import make_channel, make_conversation


def say(conversation: Conversation, *texts: str, author: Author = Author.BOT) -> None:
    attached = get_for_change(conversation.id)
    for text in texts:
        queue_message(attached, text_body(text), text, author)
    db.session.commit()


def deliver(gateway: ScriptedGateway | None = None) -> list[str]:
    gateway = gateway or ScriptedGateway()
    source = ReplySource(db.engine, make_channel().id)
    sender = Sender(
        db.engine, source, gateway, Pacer(prosa_redis.client(), Line(1, 1000)), doubt_window_s=60
    )
    asyncio.run(sender.run(5))
    return [body["text"]["body"] for body in gateway.sent]


def settle() -> int:
    with db.engine.begin() as connection:
        return skip_unsendable(connection)


def rows() -> Sequence[tuple[str | None, str | None]]:
    query = sa.select(Message.state, Message.skip_reason).order_by(Message.id)
    found = [(row.state, row.skip_reason) for row in db.session.execute(query)]
    db.session.rollback()
    return found


def test_boleto_and_then_pix_arrive_in_this_order(any_app: Flask) -> None:
    for _ in range(3):
        say(make_conversation(), "boleto", "copie o código", "00020126pix")
    sent = deliver(ScriptedGateway(takes_s=0.01))
    assert len(sent) == 9
    by_person: dict[str, list[str]] = {}
    gateway = ScriptedGateway(takes_s=0.01)
    say(make_conversation(), "um", "dois", "três")
    say(make_conversation(), "um", "dois", "três")
    deliver(gateway)
    for body in gateway.sent:
        by_person.setdefault(body["to"], []).append(body["text"]["body"])
    assert list(by_person.values()) == [["um", "dois", "três"]] * 2


def test_what_is_put_off_holds_what_comes_after_it_also_at_the_next_claim(any_app: Flask) -> None:
    say(make_conversation(), "um", "dois")
    assert deliver(ScriptedGateway(lambda _b: Refused(131000, "later"))) == ["um"]
    assert deliver() == []
    db.session.execute(sa.update(Message).values(due_at=clock.now() - timedelta(seconds=1)))
    db.session.commit()
    assert deliver() == ["um", "dois"]


def test_a_bot_is_silent_once_a_person_has_taken_over(any_app: Flask) -> None:
    conversation = make_conversation()
    say(conversation, "sou o robô")
    db.session.execute(sa.update(Conversation).values(state="assigned"))
    db.session.commit()
    say(conversation, "sou a Ana", author=Author.AGENT)
    assert deliver() == ["sou a Ana"]
    assert settle() == 1
    assert rows() == [("skipped", "agent_took_over"), ("accepted", None)]


@pytest.mark.parametrize("is_known", [True, False])
def test_outside_the_window_a_reply_is_skipped_with_the_reason(
    any_app: Flask, is_known: bool
) -> None:
    conversation = make_conversation()
    say(conversation, "tarde demais")
    closed = clock.now() - SERVICE_WINDOW - timedelta(seconds=1) if is_known else None
    db.session.execute(sa.update(Conversation).values(last_inbound_at=closed))
    db.session.commit()
    assert deliver() == []
    assert settle() == 1
    assert rows() == [("skipped", "window_closed")]


def test_a_contact_without_address_fails_with_the_reason(any_app: Flask) -> None:
    conversation = make_conversation()
    say(conversation, "oi")
    db.session.execute(sa.text("UPDATE contacts SET phone = NULL, wa_id = NULL"))
    db.session.commit()
    assert deliver() == []
    detail = db.session.scalars(sa.select(Message.error_detail)).one()
    assert (rows(), detail) == ([("failed", None)], "The contact has no WhatsApp address.")


def test_what_is_due_is_counted_up_to_a_limit(any_app: Flask) -> None:
    for _ in range(5):
        say(make_conversation(), "oi")
    channel_id = make_channel().id
    with db.engine.connect() as connection:
        assert [count_due(connection, channel_id, most) for most in (3, 9)] == [3, 5]


def test_one_claim_does_not_keep_the_channel_from_being_referred_to(any_app: Flask) -> None:
    """Claiming locks messages only: a new conversation, which refers to the channel, need not wait."""
    say(make_conversation(), "oi")
    channel_id = make_channel().id
    if db.engine.dialect.name != "postgresql":
        return  # SQLite has one writer at a time anyway
    with db.engine.begin() as other:
        other.execute(sa.text("SELECT 1 FROM channels FOR KEY SHARE"))
        other.execute(sa.text("SELECT 1 FROM conversations FOR UPDATE"))
        assert ReplySource(db.engine, channel_id).claim("t", 10, 45) == 1
