"""Text from outside as it is stored, and text normalised for search and for yes/no answers."""

from __future__ import annotations

import re
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
_BLACK_FLAG = (
    "\U0001f3f4"  # begins the flags of England, Scotland and Wales, written in tag characters
)
# Blank letters and unassigned characters that no font draws: Hangul fillers, the empty braille cell.
_BLANK = re.compile("[\u115f\u1160\u3164\uffa0\u2800\u034f\u2065\ufff0-\ufff8\ufdd0-\ufdef]")
_LINE_ENDS = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")


def clean_text(text: str, max_length: int | None = None) -> str:
    """Return outside text of one line as it is stored: `clean_lines`, single-spaced.

    A text of invisible characters is empty.
    """
    return " ".join(clean_lines(text).split())[:max_length].strip()


def clean_lines(text: str) -> str:
    """Return outside text as it is stored: NFC, without control or invisible characters.

    Zero-width characters and bidirectional overrides go too: they make a name look empty, or another's.
    Spaces and tabs stay; line breaks become LF. Lone surrogates, which no encoder takes, become "?".
    """
    if text.isascii() and text.isprintable():
        return text
    plain = _LINE_ENDS.sub("\n", text.encode("utf-8", "replace").decode())
    normal = unicodedata.normalize("NFC", plain)
    return "".join(c for index, c in enumerate(normal) if _is_kept(normal, index))


def _is_kept(text: str, index: int) -> bool:
    character = text[index]
    if character == _EMOJI_JOINER:
        return _joins_emoji(text, index)
    if "\U000e0020" <= character <= "\U000e007f":
        return _continues_flag(text, index)
    return character in "\n\t" or not (
        unicodedata.category(character) in ("Cc", "Cf", "Co")
        or ord(character) & 0xFFFE == 0xFFFE  # no character, in any plane
        or ord(character) >= 0xE1000
        or _BLANK.match(character)
    )


def _joins_emoji(text: str, index: int) -> bool:
    if not 0 < index < len(text) - 1:
        return False
    before = text[index - 1] if text[index - 1] != "\ufe0f" else text[index - 2]
    return all(_is_symbol(c) for c in (before, text[index + 1]))


def _is_symbol(character: str) -> bool:
    """Return whether it may be part of an emoji, also of one newer than Python's table (Cn)."""
    return unicodedata.category(character) in ("So", "Sk", "Sm", "Cn")


def _continues_flag(text: str, index: int) -> bool:
    before = text[max(0, index - 8) : index].rpartition(_BLACK_FLAG)
    return before[1] != "" and all("\U000e0020" <= c <= "\U000e007e" for c in before[2])
