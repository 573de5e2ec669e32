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
