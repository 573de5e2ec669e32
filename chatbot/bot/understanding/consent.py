"""Decide whether a message asks to stop our messages, or to receive them. Pure.

A wrong opt-out silences a customer, and a missed one breaks the law (LGPD, art. 8, paragraph 5). So there are
three outcomes each way: act on words without doubt, ask where it may be meant, and otherwise do nothing. The
patterns are in consent_patterns.txt.
"""

from __future__ import annotations

import re
from enum import StrEnum
from functools import cache
from pathlib import Path

from chatbot.bot.understanding.tokenization import split_clauses, tokenize
from chatbot.core.text import fold

PATTERNS = Path(__file__).with_name("consent_patterns.txt")


class ConsentWish(StrEnum):
    """Wish of a message about receiving ours. The earlier one wins where clauses differ."""

    STOP = "stop"
    MAYBE_STOP = "maybe_stop"
    START = "start"
    MAYBE_START = "maybe_start"
    NONE = "none"


# The first section that contains the whole message decides.
_WHOLE_MESSAGES = {
    "whole_maybe_stop": ConsentWish.MAYBE_STOP,
    "whole_stop": ConsentWish.STOP,
    "whole_start": ConsentWish.START,
}
# "quero sair da lista"; but "quero sair" may be about the contract.
_WILL = re.compile(r"^(?:eu )?(?:quero|gostaria de|queria|desejo) (?=\S+ \S)")


@cache
def _load_patterns() -> dict[str, re.Pattern[str]]:
    """Compile each section to one pattern on the first call, so that importing the bot is cheap."""
    sections: dict[str, list[str]] = {}
    for line in PATTERNS.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            lines = sections.setdefault(line.strip("[]"), [])
        elif line and not line.startswith("#"):
            lines.append(line)
    named: dict[str, str] = {}
    for line in sections.pop("words"):
        name, _, pattern = line.partition(" = ")
        named[name] = _fill(pattern, named)
    return {
        section: re.compile("|".join(f"(?:{_fill(line, named)})" for line in lines))
        for section, lines in sections.items()
    }


def _fill(pattern: str, named: dict[str, str]) -> str:
    for name, words in named.items():
        pattern = pattern.replace(f"<{name}>", words)
    return pattern


def _matches(section: str, words: str) -> bool:
    return _load_patterns()[section].search(words) is not None


def find_consent_wish(text: str) -> ConsentWish:
    """Return the strongest wish of the clauses of a message."""
    whole = " ".join(tokenize(text))
    plain = _without_courtesy(whole)
    for section, wish in _WHOLE_MESSAGES.items():
        if _load_patterns()[section].fullmatch(plain):
            return wish
    wishes = {_find_wish_of_clause(clause) for clause in split_clauses(text)}
    if ConsentWish.STOP in wishes and (
        _matches("only_some", whole) or _matches("condition", whole)
    ):
        return ConsentWish.MAYBE_STOP
    return next((wish for wish in ConsentWish if wish in wishes), ConsentWish.NONE)


def may_mean_stop(text: str) -> bool:
    """Whether a message that the classifier takes for an opt-out is worth a question."""
    words = " ".join(tokenize(text))
    if _matches("complaint", words) or _matches("refused_stop", words):
        return False
    if _is_about_account(words) or _matches("question", words):
        return False
    return _matches("stopping", words) and _matches("messaging", words)


def _is_about_account(words: str) -> bool:
    return _matches("account", words) and not _matches("names_messages", words)


def _without_courtesy(words: str) -> str:
    return _WILL.sub("", " ".join(_load_patterns()["courtesy"].sub(" ", words).split()))


def _find_wish_of_clause(clause: str) -> ConsentWish:
    words = " ".join(tokenize(clause))
    if _matches("complaint", words) or _matches("refused_stop", words):
        return ConsentWish.NONE
    if _load_patterns()["whole_stop"].fullmatch(_without_courtesy(words)):  # beside other words
        return ConsentWish.MAYBE_STOP
    written, is_question = fold(clause), _matches("question", words)
    if not _is_about_account(words) and (
        _matches("stop", words) or _matches("stop_english", written)
    ):
        return ConsentWish.MAYBE_STOP if is_question else ConsentWish.STOP
    start = _find_wish_to_start(words, written, is_question=is_question)
    if start is not ConsentWish.NONE or _matches("account", words):
        return start
    return ConsentWish.MAYBE_STOP if _matches("maybe_stop", words) else ConsentWish.NONE


def _find_wish_to_start(words: str, written: str, *, is_question: bool) -> ConsentWish:
    if "nao" in words.split() or _matches("bill", words):
        return ConsentWish.NONE
    if _matches("start", words) or _matches("start_english", written):
        return ConsentWish.MAYBE_START if is_question else ConsentWish.START
    return ConsentWish.MAYBE_START if _matches("maybe_start", words) else ConsentWish.NONE
