"""Tokenization of chat messages, the same for training phrases and inbound messages."""

from __future__ import annotations

import re
from functools import lru_cache

from chatbot.bot.understanding.abbreviations import FULL_WORDS
from chatbot.core.text import fold

# In a long message the request is near one of the ends. Cutting the middle bounds the work per
# message: WhatsApp allows 4096 characters.
HEAD_CHARACTERS = 600
TAIL_CHARACTERS = 400
HEAD_WORDS = 36
TAIL_WORDS = 18
MAX_WORD_LENGTH = 24
# All numbers become one token: "dia 5" and "dia 25" are the same request.
NUMBER = "0"

_REWRITES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"https?://\S+|www\.\S+"), " link "),
    (re.compile(r"\b(?:2\s*[ao°]?|seg(?:un)?da|segnda|sgunda)\s*v+i+a+s*\b"), " segunda via "),
    (re.compile(r"\bwi[\s-]fi\b"), "wifi"),
    (re.compile(r"\be-mail\b"), "email"),
    (re.compile(r"r\$"), " reais "),
    (re.compile("[😡😠🤬]"), " raivaemoji "),
    (re.compile("[📍🗺]"), " mapaemoji "),
    (re.compile("👋"), " acenoemoji "),
)
_WORD = re.compile(r"[a-z]+|\d+")
_LAUGH = re.compile(r"k{2,}|[hua]{5,}|(?:ha){2,}h?|(?:he){2,}|(?:rs)+s*")
_LONG_RUN = re.compile(r"([a-z])\1{2,}")
# "rr" and "ss" are Portuguese spelling; any other double letter is a typo or emphasis.
_DOUBLE = re.compile(r"([a-qt-z])\1|([rs])\2$")


def tokenize(text: str) -> list[str]:
    """Split into lower-case words without accents or emphasis, abbreviations expanded."""
    folded = fold(_cut_middle(text))
    for pattern, plain in _REWRITES:
        folded = pattern.sub(plain, folded)
    found = _WORD.findall(folded)
    if len(found) > HEAD_WORDS + TAIL_WORDS:
        found = found[:HEAD_WORDS] + found[-TAIL_WORDS:]
    return [full for raw in found for full in _expand(raw)]


def _cut_middle(text: str) -> str:
    if len(text) <= HEAD_CHARACTERS + TAIL_CHARACTERS:
        return text
    return f"{text[:HEAD_CHARACTERS]} {text[-TAIL_CHARACTERS:]}"


# A clause ends where people write so, or where a contrast begins.
_CLAUSE_END = re.compile(r"[.!?;,:\n]+|\b(?:mas|porem|entretanto|e sim)\b", re.IGNORECASE)


def split_clauses(text: str) -> list[str]:
    """Split a message, bounded as `tokenize` bounds it, into its clauses."""
    return [part for part in _CLAUSE_END.split(_cut_middle(text)) if part and not part.isspace()]


# Bounded: customers invent words, and a worker lives long.
@lru_cache(maxsize=8192)
def _expand(raw: str) -> tuple[str, ...]:
    if raw.isdigit():
        return (NUMBER,)
    if _LAUGH.fullmatch(raw):
        return ()
    plain = _DOUBLE.sub(r"\1\2", _LONG_RUN.sub(r"\1", raw))[:MAX_WORD_LENGTH]
    return FULL_WORDS.get(plain) or FULL_WORDS.get(raw) or (plain,)
