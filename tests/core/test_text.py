from __future__ import annotations

import pytest

from chatbot.core.text import clean_text


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
