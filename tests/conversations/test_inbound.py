from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from chatbot.contacts.service import SenderIdentity
from chatbot.conversations.inbound import BURST_PAUSE_S, MAX_BURST_S, InboundMessage, record_inbound
from chatbot.conversations.models import Conversation, Message
from chatbot.core import clock
from chatbot.core.db import db
from chatbot.core.redis import key
from tests.support.factories import ago, make_channel
from tests.support.redis_server import RedisServer

ANNA = SenderIdentity(wa_id="5511987654321", name="Anna")


def record(
    text: str = "oi", wamid: str | None = None, at: datetime | None = None, **more: Any
) -> bool:
    message = InboundMessage(
        wamid=wamid or f"wamid.{text}",
        kind=more.pop("kind", "text"),
        occurred_at=at or clock.now(),
        text=text,
        **more,
    )
    recorded = record_inbound(make_channel(), ANNA, message) is not None
    db.session.commit()
    return recorded


def get_only_conversation() -> Conversation:
    found = db.session.scalars(sa.select(Conversation)).one()
    db.session.expunge_all()
    db.session.rollback()
    return found


def wait_s() -> float:
    due = get_only_conversation().turn_due_at
    assert due is not None
    return (due - clock.now()).total_seconds()


def test_a_message_is_recorded_once_with_its_turn(
    any_app: Flask, redis_server: RedisServer
) -> None:
    assert [record("oi"), record("oi")] == [True, False]
    (message,) = db.session.scalars(sa.select(Message)).all()
    assert (message.state, message.needs_turn, message.author) == (None, True, "contact")
    found = get_only_conversation()
    assert (found.unread_count, found.last_message_text, found.state) == (1, "oi", "bot")
    assert redis_server.admin.exists(key("wakeup", "inbound"))


def test_the_bot_waits_for_the_end_of_a_burst_up_to_a_limit(any_app: Flask) -> None:
    record("1")
    assert 0 < wait_s() <= BURST_PAUSE_S
    db.session.execute(sa.update(Message).values(recorded_at=ago(MAX_BURST_S - 0.3)))
    db.session.commit()
    record("2")
    assert wait_s() <= 0.3
    db.session.execute(sa.update(Message).values(recorded_at=ago(60)))
    db.session.commit()
    record("3")
    assert wait_s() <= 0


def test_a_tapped_button_is_answered_at_once(any_app: Flask) -> None:
    record("Sim", is_urgent=True, kind="interactive")
    assert wait_s() <= 0


@pytest.mark.parametrize("kind", ["reaction", "unsupported"])
def test_a_kind_that_expects_no_answer_gets_no_turn(any_app: Flask, kind: str) -> None:
    record("👍", kind=kind, expects_answer=False)
    assert get_only_conversation().turn_due_at is None


def test_an_older_message_is_sorted_in_and_does_not_become_the_last(any_app: Flask) -> None:
    now = clock.now().replace(microsecond=0)
    record("nova", at=now)
    record("velha", at=now - timedelta(minutes=3))
    found = get_only_conversation()
    assert (found.last_message_text, found.last_inbound_at) == ("nova", now)
    query = sa.select(Message.text).order_by(Message.occurred_at, Message.id)
    assert db.session.scalars(query).all() == ["velha", "nova"]


def test_a_message_reopens_a_closed_conversation_for_the_bot(any_app: Flask) -> None:
    record("oi")
    db.session.execute(sa.update(Conversation).values(state="closed", turn_due_at=None))
    db.session.commit()
    record("voltei")
    assert (get_only_conversation().state, get_only_conversation().turn_due_at is None) == (
        "bot",
        False,
    )


def test_a_rollback_enqueues_no_task(any_app: Flask, redis_server: RedisServer) -> None:
    record_inbound(
        make_channel(), ANNA, InboundMessage(wamid="w", kind="text", occurred_at=clock.now())
    )
    db.session.rollback()
    assert not redis_server.admin.exists(key("wakeup", "inbound"))
