from __future__ import annotations

import unicodedata

import pytest

from chatbot.core.text import clean_lines, clean_text, fold


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("  José \t da\nSilva ", "José da Silva"),
        ("Jose\u0301", "José"),  # decomposed becomes one character
        ("\u200b\u2060\ufeff", ""),  # nothing but zero-width characters
        ("\u3164", ""),  # a blank letter
        ("Ana\u202egnp.exe", "Anagnp.exe"),  # a bidirectional override
        ("\u2068Ana\u2069", "Ana"),
        ("A\x00n\x07a", "Ana"),
        ("Ana \U0001f469\u200d\U0001f467", "Ana \U0001f469\u200d\U0001f467"),  # emoji stay whole
        ("Ana \u2764\ufe0f\u200d\U0001f525", "Ana \u2764\ufe0f\u200d\U0001f525"),
        ("An\u200da", "Ana"),  # the same joiner between letters is invisible
        ("bad \ud800 half", "bad ? half"),
        ("אבג", "אבג"),
    ],
)
def test_outside_text_is_stored_without_what_nobody_sees(given: str, kept: str) -> None:
    assert clean_text(given, 100) == kept
    assert clean_text(kept, 100) == kept


def test_it_is_cut_to_its_length() -> None:
    assert clean_text("abc def", 4) == "abc"


def test_no_character_that_nobody_sees_is_left() -> None:
    left = [
        hex(number)
        for number in range(0x110000)
        if unicodedata.category(chr(number)) in ("Cc", "Cf", "Cs", "Co")
        and clean_text(f"a{chr(number)}b") not in ("ab", "a b", "a?b")
    ]
    assert left == []


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("um\r\ndois\rtrês\u2028quatro", "um\ndois\ntrês\nquatro"),
        ("  código\tigual  ", "  código\tigual  "),
        ("e\u200b\u0301", "é"),  # composed only once nothing is between
        ("\U0001f3f4\U000e0067\U000e0062\U000e007f", "\U0001f3f4\U000e0067\U000e0062\U000e007f"),
        ("a\U000e0067", "a"),  # a tag character outside of a flag
        ("\U0001f642\u200d\u2194\ufe0f", "\U0001f642\u200d\u2194\ufe0f"),  # joined to an arrow
        ("\U0001fae9", "\U0001fae9"),  # an emoji newer than Python's table
        ("1\ufe0f\u20e3 👍🏽", "1\ufe0f\u20e3 👍🏽"),
        ("\x00\u202e", ""),
    ],
)
def test_lines_keep_their_form(given: str, kept: str) -> None:
    assert clean_lines(given) == kept
    assert clean_lines(kept) == kept


@pytest.mark.parametrize(
    ("given", "folded"),
    [
        ("  JOSÉ \t Conceição\n", "jose conceicao"),
        ("\U0001d401\U0001d428\U0001d425\U0001d41e\U0001d42d\U0001d428", "boleto"),  # bold letters
        ("Straße", "strasse"),
        ("İstanbul", "istanbul"),
        ("", ""),
    ],
)
def test_folded_text_has_no_accents_capitals_or_styles(given: str, folded: str) -> None:
    assert fold(given) == folded
    assert fold(fold(given)) == folded
    assert fold(given, 4) == folded[:4]
