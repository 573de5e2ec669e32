from __future__ import annotations

import pytest
import sqlalchemy as sa
from flask import Flask

from chatbot.bot.tasks import run_turns
from chatbot.core import clock
from chatbot.core.db import db
from chatbot.webhooks.events import MessageReceived, decode_event, encode_event
from chatbot.webhooks.models import WebhookBody, WebhookQueue, WebhookUpdate
from chatbot.webhooks.parsing.payloads import UnreadableBody, get_contact_key, parse_body
from chatbot.webhooks.queues import has_work
from chatbot.webhooks.tasks import drain_messages, drain_statuses
from tests.support.factories import make_message_value, make_webhook_body, signature_headers
from tests.support.fuzz import SAMPLES, mutated_bodies

NOW = clock.now()


def drain_queues() -> None:
    for _ in range(20):
        drain_messages()
        drain_statuses()
        db.session.rollback()
        if not has_work(WebhookQueue.MESSAGES) and not has_work(WebhookQueue.STATUSES):
            return
    raise AssertionError("the queues do not become empty")


def test_every_sample_is_accepted_and_none_is_lost(any_app: Flask) -> None:
    client = any_app.test_client()
    for path in SAMPLES:
        raw = path.read_bytes()
        assert (
            client.post("/webhooks/whatsapp", data=raw, headers=signature_headers(raw)).status_code
            == 200
        )
    drain_queues()
    bodies = db.session.scalars(sa.select(WebhookBody)).all()
    assert len(bodies) == len(SAMPLES)
    assert {body.state for body in bodies} == {"done"}, [body.reason for body in bodies]
    for update in db.session.scalars(sa.select(WebhookUpdate)):
        assert update.state == "quarantined"
        assert "not one of ours" in (update.reason or ""), update.reason
    db.session.rollback()
    run_turns()


def read_all(raw: bytes) -> int:
    """Parse, encode and decode like the workers, and return the number of updates.

    Any exception but UnreadableBody is raised.
    """
    try:
        found = parse_body(raw, NOW)
    except UnreadableBody:
        return 0
    for event in found.events:
        stored = encode_event(event)
        assert decode_event(stored) == event
        assert "\\u0000" not in stored.replace("\\\\", "")
        assert len(get_contact_key(event)) <= 160
    return sum(found.counts.values())


def read_only_message(raw: bytes) -> MessageReceived:
    (event,) = parse_body(raw, NOW).events
    assert isinstance(event, MessageReceived)
    return event


def test_no_mutation_of_a_body_raises_anything_but_unreadable() -> None:
    readable = sum(read_all(raw) > 0 for raw in mutated_bodies(1500, seed=1))
    assert readable > 500


def test_half_an_emoji_and_a_nul_do_not_lose_the_message() -> None:
    message = read_only_message(
        make_webhook_body(make_message_value("corta\ud83d e\x00 pronto"))
    ).message
    assert message.text == "corta? e pronto"
    assert message.payload == {"body": "corta? e pronto"}


def test_a_backslash_before_what_looks_like_a_nul_is_kept() -> None:
    message = read_only_message(make_webhook_body(make_message_value("\\u0000 \\\x00 fim"))).message
    assert message.payload == {"body": "\\u0000 \\ fim"}


def test_the_sender_is_found_by_id_and_not_by_position() -> None:
    value = make_message_value(sender="5511987654321")
    value["contacts"] = [
        {"wa_id": "5511900000000", "profile": {"name": "Outro"}},
        {"wa_id": "5511987654321", "profile": {"name": "Certo"}},
    ]
    assert read_only_message(make_webhook_body(value)).sender.name == "Certo"


@pytest.mark.parametrize("place", ["from", "from_user_id"])
def test_a_user_id_is_recognized_in_either_key(place: str) -> None:
    value = make_message_value(**{"from": None, place: "BR.13491208655302741918"})
    value["contacts"] = []
    sender = read_only_message(make_webhook_body(value)).sender
    assert (sender.bsuid, sender.wa_id) == ("BR.13491208655302741918", None)


def test_a_stop_is_urgent_and_a_chat_is_not() -> None:
    texts = ("SAIR", "não quero receber propaganda", "oi")
    urgent = [
        read_only_message(make_webhook_body(make_message_value(text))).message.is_urgent
        for text in texts
    ]
    assert urgent == [True, True, False]


@pytest.mark.parametrize(
    "content",
    [
        {"type": "document", "document": {"id": "1", "filename": "cancelar contrato.pdf"}},
        {"type": "location", "location": {"latitude": 1, "longitude": 2, "name": "Bar do Boleto"}},
        {"type": "contacts", "contacts": [{"name": {"formatted_name": "Sair"}}]},
        {"type": "interactive", "interactive": {"nfm_reply": {"body": "Sent", "name": "flow"}}},
        {"type": "interactive",
         "interactive": {"call_permission_reply": {"response": "accept"}}},
    ],
)  # fmt: skip
def test_names_in_the_content_are_not_the_words_of_the_person(content: dict[str, object]) -> None:
    value = make_message_value()
    del value["messages"][0]["text"]
    value["messages"][0] |= content
    message = read_only_message(make_webhook_body(value)).message
    assert (message.text, message.is_urgent) == ("", False)
    assert message.payload


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("\u200b\u2060\u200e", None),
        ("\u202eanA", "anA"),
        ("  Ana\u200b  Lu\u00ad\x07 ", "Ana Lu"),
        ("Jose\u0301", "José"),
        ("👩\u200d👧 Bia", "👩\u200d👧 Bia"),
    ],
)
def test_a_name_has_no_characters_that_nobody_sees(name: str, expected: str | None) -> None:
    value = make_message_value("oi\u200b\nlinha 2\u202e")
    value["contacts"][0]["profile"]["name"] = name
    (event,) = parse_body(make_webhook_body(value), NOW).events
    assert isinstance(event, MessageReceived)
    assert event.sender.name == expected
    assert event.message.text == "oi\nlinha 2"
