"""Finds the known word that a mistyped one stands for: a letter lost, added, changed or swapped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

# A short word one letter away is usually another word ("bolo", "bola"), so it is left alone.
SHORTEST_MENDED = 5


@dataclass(frozen=True, slots=True)
class Spelling:
    """Every known word and its one-letter-less forms, each with the word that it stands for."""

    meant: Mapping[str, str]

    @classmethod
    def learn(cls, counts: Mapping[str, int]) -> Spelling:
        """Of two words with a form in common, the one seen in more phrases answers for it."""
        known = [word for word in counts if len(word) >= SHORTEST_MENDED - 1]
        meant: dict[str, str] = {}
        for word in sorted(known, key=lambda word: (counts[word], word)):
            meant.update(dict.fromkeys(_one_less(word), word))
        return cls(meant | {word: word for word in known})

    def mend(self, word: str) -> str:
        """The known word meant, or the word as it came."""
        if len(word) < SHORTEST_MENDED:
            return word
        return next(
            (self.meant[form] for form in (word, *_one_less(word)) if form in self.meant), word
        )


def _one_less(word: str) -> list[str]:
    """Later letters go first: people rarely miss the beginning of a word."""
    return [word[:i] + word[i + 1 :] for i in reversed(range(len(word)))]
