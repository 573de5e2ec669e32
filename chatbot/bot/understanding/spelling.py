"""Finds the known word that a mistyped one stands for: a letter lost, added, changed or swapped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

# A short word one letter away is usually another word ("bolo", "bola"), so it is left alone.
MIN_CORRECTED_LENGTH = 5


@dataclass(frozen=True, slots=True)
class SpellingCorrector:
    """Every known word and its one-letter-less forms, each with the word that it stands for."""

    corrections: Mapping[str, str]

    @classmethod
    def train(cls, counts: Mapping[str, int]) -> SpellingCorrector:
        """Of two words with a form in common, the one seen in more phrases answers for it."""
        known = [word for word in counts if len(word) >= MIN_CORRECTED_LENGTH - 1]
        corrections: dict[str, str] = {}
        for word in sorted(known, key=lambda word: (counts[word], word)):
            corrections.update(dict.fromkeys(_list_deletions(word), word))
        return cls(corrections | {word: word for word in known})

    def correct(self, word: str) -> str:
        """The known word meant, or the word as it came."""
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
    """Later letters go first: people rarely miss the beginning of a word."""
    return [word[:i] + word[i + 1 :] for i in reversed(range(len(word)))]
