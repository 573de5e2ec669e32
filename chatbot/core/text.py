"""Text normalised for search and for yes/no answers."""

from __future__ import annotations

import unicodedata


def fold(text: str) -> str:
    """Remove accents, capitals and extra spaces: "  JOSÉ  Conceição " → "jose conceicao"."""
    plain = unicodedata.normalize("NFKD", text)
    return " ".join("".join(c for c in plain if not unicodedata.combining(c)).casefold().split())[
        :400
    ]


_ANSWERS = {
    **dict.fromkeys(("sim", "s", "yes", "y", "1", "true", "verdadeiro", "x"), True),
    **dict.fromkeys(("", "nao", "n", "no", "0", "false", "falso"), False),
}


def parse_yes_no(text: str) -> bool | None:
    """Parse yes or no in Portuguese or English; an empty text is no, any other text None."""
    return _ANSWERS.get(fold(text))


_EMOJI_JOINER = "\u200d"  # part of emoji such as a family; elsewhere an invisible character


def clean_text(text: str, max_length: int) -> str:
    """Return outside text as it is stored: NFC, single-spaced, without control or invisible characters.

    Zero-width characters and bidirectional overrides go too: they make a name look empty, or another's.
    A text of nothing else is empty. Lone surrogates, which no encoder takes, become "?".
    """
    normal = unicodedata.normalize("NFC", text.encode("utf-8", "replace").decode())
    kept = (c for index, c in enumerate(normal) if _is_visible(c) or _joins_emoji(normal, index))
    return " ".join("".join(kept).split())[:max_length].strip()


def _is_visible(character: str) -> bool:
    if character.isspace():
        return True
    return unicodedata.category(character) not in ("Cc", "Cf", "Co", "Cn") and character not in (
        "\u115f\u1160\u3164\uffa0\u2800"  # blank letters: Hangul fillers and the empty braille cell
    )


def _joins_emoji(text: str, index: int) -> bool:
    if text[index] != _EMOJI_JOINER or not 0 < index < len(text) - 1:
        return False
    before = text[index - 1] if text[index - 1] != "\ufe0f" else text[index - 2]
    return all(unicodedata.category(c) in ("So", "Sk") for c in (before, text[index + 1]))
