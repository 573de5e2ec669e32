"""Measures on lines that the bot was neither trained nor tuned on."""

from __future__ import annotations

from pathlib import Path

import pytest

from chatbot.bot.evaluation import LabelledLine, evaluate, parse_lines
from chatbot.bot.understanding.classifier import PHRASES
from chatbot.bot.understanding.tokenization import tokenize

BLIND = Path(__file__).resolve().parents[1] / "data/blind"
TRADES = ("clinic", "internet", "school", "shop")


def read_lines(trade: str) -> list[LabelledLine]:
    return parse_lines((BLIND / f"{trade}.tsv").read_text(encoding="utf-8"))


def test_opt_outs_of_the_blind_set_are_met_and_complaints_are_not_taken_for_them() -> None:
    measured = evaluate([line for trade in TRADES for line in read_lines(trade)])["opt_out"]
    assert measured["acted_precision"] >= 0.99
    assert measured["recall"] >= 0.95
    assert measured["asked_wrongly"] <= 0.03


@pytest.mark.parametrize("trade", TRADES)
def test_a_trade_has_every_hard_style(trade: str) -> None:
    styles = {line.style for line in read_lines(trade)}
    assert styles >= {"long", "negation", "typing", "out_of_scope", "two_requests", "opt_out"}


def test_no_blind_line_is_a_training_phrase() -> None:
    phrases = PHRASES.read_text(encoding="utf-8").splitlines()
    trained = {tuple(tokenize(phrase.split("\t")[1])) for phrase in phrases if phrase}
    lines = [line for trade in TRADES for line in read_lines(trade)]
    known = [line.text for line in lines if tuple(tokenize(line.text)) in trained]
    assert known == []
    assert len(lines) >= 300
