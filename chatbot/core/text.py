"""Text from outside as it is stored, and text normalised for search and for yes/no answers."""

from __future__ import annotations

import re
import unicodedata


def fold(text: str, max_length: int | None = None) -> str:
    """Remove accents, capitals, styles and extra spaces: "  JOSÉ  𝐂onceição " → "jose conceicao".

    One letter may become several, so a column for folded text is longer than that of the text.
    """
    plain = unicodedata.normalize("NFKD", text)
    folded = "".join(c for c in plain if not unicodedata.combining(c)).casefold()
    return " ".join(folded.split())[:max_length]


def slugify(label: str) -> str:
    """Return the words of a label in ASCII: "Nº do Cartão" → "no_do_cartao"."""
    return re.sub(r"[^a-z0-9]+", "_", fold(label).encode("ascii", "ignore").decode()).strip("_")


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
# Control, format and private characters, halves of pairs, and what is no character in any plane; also
# blank letters: Hangul fillers, the empty braille cell. A character class is as fast as C.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160"
    "\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\u2800\u3164\ud800-\uf8ff\ufdd0-\ufdef\ufeff\uffa0"
    "\ufff0-\ufffb\ufffe\uffff\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0000-\U000e00ff\U000e01f0-\U0010ffff"
    + "".join(f"{chr(plane << 16 | 0xFFFE)}{chr(plane << 16 | 0xFFFF)}" for plane in range(1, 14))
    + "]"
)
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
    return unicodedata.normalize("NFC", _INVISIBLE.sub(_keep_in_emoji, plain))


def _keep_in_emoji(found: re.Match[str]) -> str:
    character, text, index = found[0], found.string, found.start()
    if character == _EMOJI_JOINER:
        return character if _joins_emoji(text, index) else ""
    is_tag = "\U000e0020" <= character <= "\U000e007f"
    return character if is_tag and _continues_flag(text, index) else ""


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
