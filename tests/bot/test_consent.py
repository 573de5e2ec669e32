"""Three outcomes of a wish about our messages: act, ask, neither."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask

from chatbot.bot.evaluation import UnreadableLine, evaluate, parse_lines
from chatbot.bot.tasks import run_turns
from chatbot.bot.understanding.classifier import classify
from chatbot.bot.understanding.consent import ConsentWish, find_consent_wish
from chatbot.contacts.models import ConsentEvent, Contact
from chatbot.conversations.models import Message
from chatbot.core.db import db
from config import ROOT
from tests.support.factories import make_contact, make_conversation, make_inbound

ALLOWED = {
    "none": {ConsentWish.NONE},
    "stop": {ConsentWish.STOP},
    "stop?": {ConsentWish.STOP, ConsentWish.MAYBE_STOP},
    "start?": {ConsentWish.START, ConsentWish.MAYBE_START},
}


def labelled_lines() -> list[tuple[str, str]]:
    lines = (ROOT / "tests/data/consent_pt_br.tsv").read_text().splitlines()
    pairs = (line.split("\t") for line in lines if not line.startswith("#"))
    return [(wish, text) for wish, text in pairs]


def test_each_line_has_the_outcome_that_a_person_expects() -> None:
    lines = labelled_lines()
    assert len(lines) > 200
    wrong = [(wish, text) for wish, text in lines if find_consent_wish(text) not in ALLOWED[wish]]
    assert wrong == []


def test_the_classifier_neither_loses_a_wish_nor_asks_without_one() -> None:
    lines = labelled_lines()
    lost = [t for w, t in lines if w.startswith("stop") and classify(t).intent != "opt_out"]
    asked = [t for w, t in lines if w == "none" and classify(t).intent in ("opt_out", "opt_in")]
    assert lost == []
    assert len(asked) <= 0.03 * len(lines)
    assert all(classify(text).confidence < 1.0 for text in asked)


@pytest.mark.parametrize(
    "text", ["a" * 100_000, "não " * 30_000, "quero receber " * 9_000, "🙂" * 5_000, ""]
)
def test_long_and_odd_texts_are_bounded(text: str) -> None:
    assert find_consent_wish(text) is ConsentWish.NONE


def talk(text: str, **payload: object) -> None:
    conversation = make_conversation(make_contact())
    make_inbound(conversation, text, payload=payload)
    run_turns()


def contact() -> Contact:
    found = db.session.scalars(sa.select(Contact)).one()
    db.session.rollback()
    return found


def bodies() -> Sequence[dict[str, object]]:
    query = sa.select(Message.payload).where(Message.author == "bot").order_by(Message.id)
    found = db.session.scalars(query).all()
    db.session.rollback()
    return found


@pytest.mark.parametrize(
    ("text", "buttons"),
    [
        ("quem deu meu numero pra vcs", ["Sim, parar", "Não, continuar"]),
        ("como faço pra voltar a receber as promoções?", ["Sim, quero receber", "Agora não"]),
    ],
)
def test_where_it_may_be_meant_the_bot_asks_and_records_nothing(
    any_app: Flask, text: str, buttons: list[str]
) -> None:
    talk(text)
    (body,) = bodies()
    titles = [b["reply"]["title"] for b in body["interactive"]["action"]["buttons"]]  # type: ignore[index]
    assert titles == buttons
    assert contact().opted_out_at is None
    assert db.session.scalars(sa.select(ConsentEvent)).all() == []


def test_the_answer_to_the_question_is_obeyed(any_app: Flask) -> None:
    talk("Sim, parar", button_reply={"id": "intent:opt_out", "title": "Sim, parar"})
    assert contact().opted_out_at is not None


def test_who_keeps_the_messages_gets_no_consent_event(any_app: Flask) -> None:
    talk("Não, continuar", button_reply={"id": "intent:keep_consent", "title": "Não, continuar"})
    assert contact().opted_out_at is None
    assert db.session.scalars(sa.select(ConsentEvent)).all() == []


def test_the_bot_does_not_ask_while_an_agent_has_the_conversation(any_app: Flask) -> None:
    conversation = make_conversation(make_contact(), state="assigned")
    make_inbound(conversation, "quem deu meu numero pra vcs")
    run_turns()
    assert bodies() == []


def test_evaluation_measures_what_was_acted_on_and_asked() -> None:
    found = evaluate(
        parse_lines(
            "opt_out\tSAIR\tcurta\n"
            "opt_out\tquem deu meu numero pra vcs\tcurta\n"
            "opt_out\tquero pagar\n"
            "invoice_copy|pix_payment\tquero meu boleto\n"
            "complaint\tisso é spam\n"
        )
    )
    assert found["lines"] == 5
    assert found["accuracy"] == pytest.approx(3 / 5)
    assert found["styles"] == {"curta": {"accuracy": 1.0}}
    assert found["opt_out"] == {
        "acted_precision": 1.0,
        "recall": pytest.approx(2 / 3),
        "asked_wrongly": pytest.approx(1 / 2),
    }
    assert found["intents"]["opt_out"]["recall"] == pytest.approx(2 / 3)
    assert 0 < found["macro_f1"] < 1
    assert found["ms"] > 0


@pytest.mark.parametrize(
    ("line", "problem"),
    [("opt_out SAIR", "line 1: there is no tab"), ("leave\tSAIR", "line 1: 'leave' is no intent")],
)
def test_a_bad_line_is_named(line: str, problem: str) -> None:
    with pytest.raises(UnreadableLine, match=problem):
        parse_lines(line)


def test_the_command_prints_the_measures(app: Flask, tmp_path: Path) -> None:
    file = tmp_path / "lines.tsv"
    file.write_text("# comment\nopt_out\tSAIR\n\nfallback\tasdfgh\n")
    run = app.test_cli_runner().invoke(args=["bot", "evaluate", str(file), "--json"])
    assert run.exit_code == 0, run.output
    assert json.loads(run.output)["opt_out"]["acted_precision"] == 1.0
    file.write_text("leave\tSAIR\n")
    run = app.test_cli_runner().invoke(args=["bot", "evaluate", str(file)])
    assert run.exit_code == 1
    assert "line 1: 'leave' is no intent" in run.output
