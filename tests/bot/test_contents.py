"""Answers of the bot to messages whose content is not text."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from chatbot.bot.tasks import run_turns
from chatbot.conversations.models import Conversation, Message
from chatbot.core.db import db
from tests.support.factories import make_conversation, make_inbound

ORDER = {
    "product_items": [
        {"product_retailer_id": "a", "quantity": 2, "item_price": 49.9, "currency": "BRL"}
    ]
}
AD = {"referral": {"headline": "Plano 500 mega", "source_type": "ad"}}
AD_TEXT = "Olá! Tenho interesse e queria mais informações, por favor."


def answer(text: str, **columns: Any) -> tuple[str, Conversation]:
    """Receive a message; return what the bot says about it, and the conversation."""
    conversation = make_conversation()
    make_inbound(conversation, text, **columns)
    run_turns()
    said = db.session.scalars(
        sa.select(Message.text).where(
            Message.author == "bot", Message.conversation_id == conversation.id
        )
    ).all()
    found = db.session.get_one(Conversation, conversation.id, populate_existing=True)
    db.session.expunge(found)
    db.session.rollback()
    return "\n".join(said), found


@pytest.mark.parametrize(
    ("kind", "payload", "expected"),
    [
        ("nfm_reply", {"nfm_reply": {}}, "Recebemos suas respostas"),
        ("location", {"latitude": 1, "longitude": 2}, "recebi a localização"),
        ("contacts", {"content": []}, "recebi o contato"),
        ("request_welcome", {}, "assistente virtual"),
        ("order", ORDER, "2 item(ns), R$ 99,80"),
        ("order", {}, "Obrigado pelo pedido!"),
    ],
)
def test_each_kind_of_content_is_answered_for_what_it_is(
    app: Flask, kind: str, payload: dict[str, Any], expected: str
) -> None:
    said, conversation = answer("", kind=kind, payload=payload)
    assert expected in said
    assert (conversation.handoff_reason == "order") == (kind == "order")
    assert conversation.last_intent is None


def test_an_order_with_a_note_is_an_order_and_the_note_may_still_be_a_stop(app: Flask) -> None:
    assert "R$ 99,80" in answer("Quero entregar hoje", kind="order", payload=ORDER)[0]
    assert "R$ 99,80" not in answer("SAIR", kind="order", payload=ORDER)[0]


def test_words_beside_a_location_are_answered(app: Flask) -> None:
    conversation = make_conversation()
    make_inbound(conversation, "quero falar com um atendente")
    make_inbound(conversation, "", kind="location", payload={})
    run_turns()
    found = db.session.get_one(Conversation, conversation.id, populate_existing=True)
    assert found.handoff_reason == "requested"
    db.session.rollback()


@pytest.mark.parametrize("text", [AD_TEXT, "oi", "zxcvb qwert"])
def test_a_person_from_an_ad_is_welcomed_by_its_headline(app: Flask, text: str) -> None:
    assert "Plano 500 mega" in answer(text, payload=AD)[0]


def test_the_text_that_ads_prepare_gets_a_welcome_once(app: Flask) -> None:
    said, conversation = answer(AD_TEXT)
    assert "assistente virtual" in said
    make_inbound(conversation, AD_TEXT)
    run_turns()
    last = db.session.scalars(sa.select(Message.text).order_by(Message.id.desc())).first()
    db.session.rollback()
    assert last is not None
    assert "Não entendi" in last


def test_a_request_that_comes_through_an_ad_is_answered_as_such(app: Flask) -> None:
    assert answer("quero falar com um atendente", payload=AD)[1].handoff_reason == "requested"
