"""Spelling correction of one letter missing, added, changed or swapped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

# A short word one letter away is usually another word ("bolo", "bola"), so it is left alone.
MIN_CORRECTED_LENGTH = 5


@dataclass(frozen=True, slots=True)
class SpellingCorrector:
    """Known words and their forms with one letter deleted, each with its correction."""

    corrections: Mapping[str, str]

    @classmethod
    def train(cls, counts: Mapping[str, int]) -> SpellingCorrector:
        """Build the corrections; the word seen in more phrases wins a form that two have in common."""
        known = [word for word in counts if len(word) >= MIN_CORRECTED_LENGTH - 1]
        corrections: dict[str, str] = {}
        for word in sorted(known, key=lambda word: (counts[word], word)):
            corrections.update(dict.fromkeys(_list_deletions(word), word))
        return cls(corrections | {word: word for word in known})

    def correct(self, word: str) -> str:
        """Return the known word nearest to it, or the word unchanged."""
        if len(word) < MIN_CORRECTED_LENGTH:
            return word
        return next(
            (
                self.corrections[form]
                for form in (word, *_list_deletions(word))
                if form in self.corrections
            ),
            word,
        )


def _list_deletions(word: str) -> list[str]:
    """Return the forms with one letter deleted, last letters first: typos are rare at the beginning."""
    return [word[:i] + word[i + 1 :] for i in reversed(range(len(word)))]
