"""Every sentence of the bot exists in both languages and within WhatsApp's limits."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from flask import Flask
from flask_babel import force_locale

from chatbot.bot import sentences
from chatbot.bot.sentences import MAX_VALUE, SENTENCES, Sentence, translate
from chatbot.channels.whatsapp.payloads.limits import BUTTON, check_length


def fill(sentence: Sentence) -> str:
    """Fill the variables with values that are longer than any real ones."""
    return translate(sentence, dict.fromkeys(sentence.variables, "ã" * 1000))


@pytest.mark.parametrize("key", SENTENCES)
def test_every_sentence_is_portuguese_for_a_portuguese_customer(app: Flask, key: str) -> None:
    sentence = SENTENCES[key]
    with force_locale("en"):
        english = fill(sentence)
    with force_locale("pt_BR"):
        portuguese = fill(sentence)
    # A sentence of variables alone may be equal in both languages.
    has_words = any(c.isalpha() for c in english.replace("ã", "").replace("R$", ""))
    assert (portuguese != english) == has_words
    for text in (english, portuguese):
        check_length(key, text, sentence.limit)
        assert "%(" not in text
        assert text.count("ã" * MAX_VALUE) >= len(sentence.variables)


def test_buttons_have_no_variables() -> None:
    assert [s.key for s in SENTENCES.values() if s.limit is BUTTON and s.variables] == []


def test_every_constant_is_registered_under_a_key_of_its_own() -> None:
    constants = [value for value in vars(sentences).values() if isinstance(value, Sentence)]
    assert {sentence.key: sentence for sentence in constants} == SENTENCES
    assert len(constants) == len(SENTENCES)
    with pytest.raises(ValueError, match="greeting is taken"):
        sentences._register("greeting", "Hi")


def test_money_and_dates_are_written_as_in_brazil(app: Flask) -> None:
    values = {"description": "Plano", "amount": Decimal("1234.5"), "due": date(2026, 12, 3)}
    with force_locale("pt_BR"):
        assert "R$ 1.234,50, vence em 03/12/2026" in translate(sentences.INVOICE, values)
