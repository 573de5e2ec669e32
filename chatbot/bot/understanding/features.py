"""Features of the classifier: words, bigrams, character n-grams and unknown words."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import lru_cache
from itertools import pairwise
from math import log1p, sqrt

# Found by five-fold cross-validation on the training phrases, plain and with typing errors.
BIGRAM_WEIGHT = 0.5
NGRAM_WEIGHT = 0.5
NGRAM_LENGTHS = (4, 5)

START, END, UNKNOWN = "^", "$", "?"

Features = dict[str, float]


def extract_features(words: Sequence[str], common_words: Collection[str]) -> Features:
    """Return the features of a message; words outside `common_words` become one unknown word.

    So the context "preciso de um ?" alone tells that the request is not for us.
    """
    found: Features = {}
    for word in words:
        found.update(_word_features(word))
    found.update(dict.fromkeys(_bigrams((START, *words, END)), BIGRAM_WEIGHT))
    masked = [word if word in common_words else UNKNOWN for word in words]
    unknown = masked.count(UNKNOWN)
    if unknown:
        found[UNKNOWN] = log1p(unknown)
        found.update(dict.fromkeys(_unknown_context((START, *masked, END)), BIGRAM_WEIGHT))
    return found


# Bounded: customers invent words, and a worker lives long.
@lru_cache(maxsize=8192)
def _word_features(word: str) -> Features:
    edged = f"<{word}>"
    ngrams = {edged[i : i + n] for n in NGRAM_LENGTHS for i in range(len(edged) - n + 1)}
    weight = NGRAM_WEIGHT / sqrt(len(ngrams) or 1)
    return {word: 1.0, **{f"#{ngram}": weight for ngram in sorted(ngrams)}}


def _bigrams(words: Sequence[str]) -> list[str]:
    return [f"{a} {b}" for a, b in pairwise(words)]


def _unknown_context(words: Sequence[str]) -> list[str]:
    triples = zip(words, words[1:], words[2:], strict=False)
    near = [f"{a} {b} {c}" for a, b, c in triples if UNKNOWN in (a, b, c)]
    return near + [pair for pair in _bigrams(words) if UNKNOWN in pair.split(" ")]
