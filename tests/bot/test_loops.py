"""The bot stops answering another program, and goes on answering a person."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from chatbot.bot.loops import FAST_WINDOW, MAX_FAST_TURNS, RecentMessage, is_loop
from chatbot.bot.tasks import run_turns
from chatbot.contacts.models import Contact
from chatbot.conversations.models import Conversation, Message
from chatbot.core.db import db
from tests.support.factories import make_conversation, make_inbound

AWAY = "Olá! Agradecemos seu contato. Protocolo {}. No momento não podemos responder."
ASKS = "Mensagem automática {}: quero a segunda via do meu boleto"


def make_dialog(*texts: str, kind: str = "text", seconds_apart: float = 2.0) -> list[RecentMessage]:
    """Return messages of the contact, each but the last followed by the bot's answer."""
    messages = []
    for number, text in enumerate(texts):
        age = timedelta(seconds=(len(texts) - number) * seconds_apart)
        messages.append(RecentMessage("contact", kind, text, age))
        messages.append(RecentMessage("bot", "text", "resposta", age))
    return messages[:-1]


def test_the_same_text_three_times_is_a_loop() -> None:
    assert is_loop(make_dialog("oi", "OI ", "Óí"))
    assert not is_loop(make_dialog("oi", "oi"))
    assert not is_loop(make_dialog("oi", "oi", "boleto"))


def test_a_person_who_says_yes_to_three_questions_is_no_loop() -> None:
    assert not is_loop(make_dialog("sim", "boleto", "sim", "pix", "sim"))


def test_an_automatic_reply_may_change_its_numbers_and_alternate() -> None:
    assert is_loop(
        make_dialog(AWAY.format(81), "Digite 1", AWAY.format(93), "Digite 1", AWAY.format(7))
    )


def test_buttons_tapped_again_and_again_are_no_loop() -> None:
    assert not is_loop(make_dialog(*["Meu boleto"] * 20, kind="interactive"))


def test_messages_in_one_burst_count_once() -> None:
    burst = [RecentMessage("contact", "text", "oi", timedelta(seconds=1))] * 5
    assert not is_loop([*make_dialog("boleto"), *burst])


def test_more_turns_than_a_person_can_write_are_a_loop() -> None:
    texts = [f"mensagem {chr(97 + n)}" for n in range(MAX_FAST_TURNS)]
    assert is_loop(make_dialog(*texts))
    assert not is_loop(make_dialog(*texts[1:]))
    slow = FAST_WINDOW.total_seconds() / (MAX_FAST_TURNS - 1)
    assert not is_loop(make_dialog(*texts, seconds_apart=slow))


def run_dialog(conversation: Conversation, texts: Sequence[str], **columns: Any) -> list[int]:
    """Write each text, run the bot, and return the number of its messages after each."""
    counts = []
    for text in texts:
        make_inbound(conversation, text, **columns)
        run_turns()
        query = sa.select(sa.func.count()).where(Message.author == "bot")
        counts.append(db.session.scalar(query) or 0)
        db.session.rollback()
    return counts


def test_an_automatic_reply_gets_one_last_sentence_and_a_mark_for_agents(any_app: Flask) -> None:
    conversation = make_conversation()
    counts = run_dialog(conversation, [ASKS.format(n) for n in range(8)])
    assert counts[3:] == [counts[2]] * 5
    db.session.rollback()
    found = db.session.get_one(Conversation, conversation.id)
    assert (found.state, found.handoff_reason) == ("waiting", "bot_loop")
    last = db.session.scalars(
        sa.select(Message.text).where(Message.author == "bot").order_by(Message.id.desc())
    ).first()
    assert last is not None
    assert "sistema automático" in last
    db.session.rollback()


@pytest.mark.parametrize("state", ["bot", "waiting", "assigned"])
def test_confirmations_of_an_opt_out_do_not_loop(any_app: Flask, state: str) -> None:
    conversation = make_conversation(state=state)
    counts = run_dialog(conversation, ["SAIR"] * 6)
    assert counts[-1] == counts[2] <= 3
    assert db.session.scalars(sa.select(Contact)).one().opted_out_at is not None
    db.session.rollback()
