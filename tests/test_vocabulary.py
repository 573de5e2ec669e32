"""Keep retired terms from coming back as names."""

from __future__ import annotations

import io
import keyword
import tokenize
from pathlib import Path

ROOT = Path(__file__).parents[1]
# Retired terms (docs/glossary.md has the standard ones). Only words that have no ordinary use here.
RETIRED = {
    "Bell", "BELLS", "BellJob", "BellWorker", "Parcel", "Guest", "Desk", "Ledger", "Verdict", "Booking",
    "after_bell", "bells_of", "draw_consequences", "draw_from_answers",
    "flights", "forget_now", "forget_with",
    "lifeline", "makes_stale", "new_generation", "note_of", "one_statement", "parcel", "pacer", "park_body",
    "redis_after_commit", "ring", "ring_job", "rung", "rung_key", "settle_answers", "storable", "take_off",
    "tell_redis", "told_to_stop", "topic_of", "trial", "trials", "who_asks", "wording",
}  # fmt: skip


def names_in(code: str) -> set[str]:
    tokens = tokenize.generate_tokens(io.StringIO(code).readline)
    return {t.string for t in tokens if t.type == tokenize.NAME and not keyword.iskeyword(t.string)}


def test_no_retired_term_is_a_name() -> None:
    wrong = []
    for folder in ("chatbot", "workers", "tests", "benchmarks"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            found = names_in(path.read_text(encoding="utf-8")) & RETIRED
            wrong += [f"{path.relative_to(ROOT)}: {name}" for name in sorted(found)]
    assert wrong == []


def test_a_retired_term_would_be_found() -> None:
    assert names_in("Bell = ring(1)  # Desk") & RETIRED == {"Bell", "ring"}
