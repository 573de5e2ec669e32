"""Texts that are an opt-in or an opt-out, and similar ones that are not."""

from __future__ import annotations

import pytest

from chatbot.bot.intents import Intent
from chatbot.bot.understanding.classifier import classify


@pytest.mark.parametrize(
    "text", ["QUERO RECEBER", "quero voltar a receber as promoções, por favor", "I want to receive"]
)
def test_an_explicit_request_for_campaigns_is_an_opt_in(text: str) -> None:
    assert classify(text).intent is Intent.OPT_IN


@pytest.mark.parametrize(
    "text", ["quero receber o boleto", "não quero receber", "quero receber a segunda via", "voltar"]
)
def test_other_texts_are_no_opt_in(text: str) -> None:
    assert classify(text).intent is not Intent.OPT_IN


@pytest.mark.parametrize("text", ["Parar promoções", "Interromper promoções", "Stop promotions"])
def test_the_usual_button_of_a_campaign_is_an_opt_out(text: str) -> None:
    assert classify(text).intent is Intent.OPT_OUT
