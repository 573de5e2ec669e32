"""Text as people search for it."""

from __future__ import annotations

import unicodedata


def fold(text: str) -> str:
    """Without accents and capitals, single-spaced: "  JOSÉ  Conceição " is "jose conceicao"."""
    plain = unicodedata.normalize("NFKD", text)
    return " ".join("".join(c for c in plain if not unicodedata.combining(c)).casefold().split())[
        :400
    ]


_ANSWERS = {
    **dict.fromkeys(("sim", "s", "yes", "y", "1", "true", "verdadeiro", "x"), True),
    **dict.fromkeys(("", "nao", "n", "no", "0", "false", "falso"), False),
}


def parse_yes_no(text: str) -> bool | None:
    """Whether somebody wrote yes, in Portuguese or English; nothing is no, and None is neither."""
    return _ANSWERS.get(fold(text))
