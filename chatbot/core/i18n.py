"""Extraction of sentences that stand in the code and are translated where they are shown.

`make translations` finds them in four forms: calls of `_`, `_l` and `ngettext`; calls of `N_`; the first
argument of our errors; and the values of module-level tables named REASONS.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator
from typing import Any, BinaryIO

from babel.messages.extract import extract_python

ERROR_CLASSES = ("AppError", "InvalidInput", "NotFound", "Conflict", "Unavailable")
SENTENCE_TABLES = ("REASONS",)

ExtractedMessage = tuple[Any, ...]  # line, function, sentence or sentences, comments


def N_(message: str) -> str:
    """Mark an English sentence for the catalogue and return it unchanged."""
    return message


def extract(
    file: BinaryIO, keywords: Collection[str], comment_tags: Any, options: Any
) -> Iterator[ExtractedMessage]:
    """Extract the sentences of a Python file for Babel; babel.cfg names this function."""
    words = dict.fromkeys((*keywords, "N_", "_l", *ERROR_CLASSES))
    for line, function, messages, comments in extract_python(file, words, comment_tags, options):
        if function not in ("N_", *ERROR_CLASSES):
            yield line, function, messages, comments
            continue
        first = messages[0] if isinstance(messages, tuple) else messages
        if first:
            yield line, None, first, comments
    file.seek(0)
    for line, sentence in extract_table_sentences(file.read().decode()):
        yield line, None, sentence, []


def extract_table_sentences(source: str) -> Iterator[tuple[int, str]]:
    """Yield (line, sentence) for the values in `REASONS: dict[str, str] = {...}`."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.AnnAssign) and getattr(node.target, "id", "") in SENTENCE_TABLES:
            for value in getattr(node.value, "values", ()):
                if isinstance(value, ast.Constant) and isinstance(value.value, str):
                    yield value.lineno, value.value
