from __future__ import annotations

import pytest
import sqlalchemy as sa
from flask import Flask

from chatbot.bot.jobs import take_turns
from chatbot.core import clock
from chatbot.core.db import db
from chatbot.webhooks.events import MessageReceived, read_event, write_event
from chatbot.webhooks.jobs import drain_messages, drain_statuses
from chatbot.webhooks.lanes import has_work
from chatbot.webhooks.models import Lane, WebhookBody, WebhookUpdate
from chatbot.webhooks.payloads import UnreadableBody, contact_key_of, split
from tests.support.fuzz import SAMPLES, mutated_bodies
from tests.support.making import body_of, message_value, signed

NOW = clock.now()


def drain() -> None:
    for _ in range(20):
        drain_messages()
        drain_statuses()
        db.session.rollback()
        if not has_work(Lane.MESSAGES) and not has_work(Lane.STATUSES):
            return
    raise AssertionError("the lanes do not run dry")


@pytest.mark.skipif(not SAMPLES, reason="the shared samples are not on this machine")
def test_every_sample_is_taken_and_none_is_lost(any_app: Flask) -> None:
    client = any_app.test_client()
    for path in SAMPLES:
        raw = path.read_bytes()
        assert client.post("/webhooks/whatsapp", data=raw, headers=signed(raw)).status_code == 200
    drain()
    bodies = db.session.scalars(sa.select(WebhookBody)).all()
    assert len(bodies) == len(SAMPLES)
    assert {body.state for body in bodies} == {"done"}, [body.reason for body in bodies]
    for update in db.session.scalars(sa.select(WebhookUpdate)):
        assert update.state == "parked"
        assert "not one of ours" in (update.reason or ""), update.reason
    db.session.rollback()
    take_turns()


def read_all(raw: bytes) -> int:
    """As the workers do; how many updates there were. Anything but UnreadableBody comes through."""
    try:
        found = split(raw, NOW)
    except UnreadableBody:
        return 0
    for event in found.events:
        stored = write_event(event)
        assert read_event(stored) == event
        assert "\\u0000" not in stored.replace("\\\\", "")
        assert len(contact_key_of(event)) <= 160
    return sum(found.counts.values())


def only(raw: bytes) -> MessageReceived:
    (event,) = split(raw, NOW).events
    assert isinstance(event, MessageReceived)
    return event


def test_no_mutation_of_a_body_raises_anything_but_unreadable() -> None:
    readable = sum(read_all(raw) > 0 for raw in mutated_bodies(1500, seed=1))
    assert readable > 500


def test_half_an_emoji_and_a_nul_do_not_cost_the_message() -> None:
    message = only(body_of(message_value("corta\ud83d e\x00 pronto"))).message
    assert message.text == "corta? e pronto"
    assert message.payload == {"body": "corta? e pronto"}


def test_a_backslash_before_what_looks_like_a_nul_is_kept() -> None:
    message = only(body_of(message_value("\\u0000 \\\x00 fim"))).message
    assert message.payload == {"body": "\\u0000 \\ fim"}


def test_the_sender_is_found_by_id_never_by_place() -> None:
    value = message_value(sender="5511987654321")
    value["contacts"] = [
        {"wa_id": "5511900000000", "profile": {"name": "Outro"}},
        {"wa_id": "5511987654321", "profile": {"name": "Certo"}},
    ]
    assert only(body_of(value)).sender.name == "Certo"


@pytest.mark.parametrize("place", ["from", "from_user_id"])
def test_a_user_id_is_known_wherever_it_stands(place: str) -> None:
    value = message_value(**{"from": None, place: "BR.13491208655302741918"})
    value["contacts"] = []
    sender = only(body_of(value)).sender
    assert (sender.bsuid, sender.wa_id) == ("BR.13491208655302741918", None)


def test_a_stop_is_urgent_and_a_chat_is_not() -> None:
    texts = ("SAIR", "não quero receber propaganda", "oi")
    urgent = [only(body_of(message_value(text))).message.is_urgent for text in texts]
    assert urgent == [True, True, False]
