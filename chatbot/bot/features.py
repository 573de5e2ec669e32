"""What the classifier looks at: words, neighbours, pieces of words, and words it never met."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import lru_cache
from itertools import pairwise
from math import log1p, sqrt

# Found by five-fold trials on the training phrases, plain and with typing slips.
PAIR_WEIGHT = 0.5
PIECES_WEIGHT = 0.5
PIECE_LENGTHS = (4, 5)

START, END, STRANGE = "^", "$", "?"

Features = dict[str, float]


def features(words: Sequence[str], common: Collection[str]) -> Features:
    """`common` are the words met in more than one phrase; all others look alike.

    So the shape "preciso de um ?" says by itself that the request is none of ours.
    """
    found: Features = {}
    for word in words:
        found.update(_of_word(word))
    found.update(dict.fromkeys(_pairs((START, *words, END)), PAIR_WEIGHT))
    masked = [word if word in common else STRANGE for word in words]
    strange = masked.count(STRANGE)
    if strange:
        found[STRANGE] = log1p(strange)
        found.update(dict.fromkeys(_around_strange((START, *masked, END)), PAIR_WEIGHT))
    return found


# Bounded: customers invent words without end, and a worker lives long.
@lru_cache(maxsize=8192)
def _of_word(word: str) -> Features:
    edged = f"<{word}>"
    pieces = {edged[i : i + n] for n in PIECE_LENGTHS for i in range(len(edged) - n + 1)}
    weight = PIECES_WEIGHT / sqrt(len(pieces) or 1)
    return {word: 1.0, **{f"#{piece}": weight for piece in sorted(pieces)}}


def _pairs(words: Sequence[str]) -> list[str]:
    return [f"{a} {b}" for a, b in pairwise(words)]


def _around_strange(words: Sequence[str]) -> list[str]:
    triples = zip(words, words[1:], words[2:], strict=False)
    near = [f"{a} {b} {c}" for a, b, c in triples if STRANGE in (a, b, c)]
    return near + [pair for pair in _pairs(words) if STRANGE in pair.split(" ")]
