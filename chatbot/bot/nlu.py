"""Guesses what a customer wants from one message: rules, then naive Bayes over our own phrases.

Pure: no network, no database, no clock. The same phrases always give the same model.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import exp, log, log1p, sqrt
from pathlib import Path

from chatbot.bot.features import Features, features
from chatbot.bot.intents import Intent
from chatbot.bot.rules import certain_intent, may_be_opt_out
from chatbot.bot.spelling import Spelling
from chatbot.bot.text import words

__all__ = ["Classifier", "Guess", "Intent", "classify", "load_default"]

PHRASES = Path(__file__).with_name("phrases_pt_br.tsv")
SMOOTHING = 0.1
# In doubt, asking again is cheaper than answering the wrong thing.
FALLBACK_HEAD_START = 0.5
LOWEST_CONFIDENCE = 0.35
# A wrong opt-out silences a customer; five-fold trials found none above this.
LOWEST_OPT_OUT = 0.5
TOP = 3
# In a long story the request is a few words among many that say nothing to us, so it is sought
# through a window that slides over the story. What it finds must be clear, for it looks many times.
STORY_WORDS = 11
WINDOW_WORDS = 6
WINDOW_STEP = 3
MOST_WINDOWS = 12
CLEAR = 0.7


@dataclass(frozen=True, slots=True)
class Guess:
    """`scores` are the likeliest intents, best first, for a log or a "did you mean"."""

    intent: Intent
    confidence: float
    scores: tuple[tuple[Intent, float], ...] = ()


NOTHING_SAID = Guess(Intent.FALLBACK, 1.0)
# A request in the same message always goes before these.
COURTESIES = frozenset({Intent.FALLBACK, Intent.GREETING, Intent.THANKS, Intent.GOODBYE})


@dataclass(frozen=True, slots=True)
class Classifier:
    """A trained model. Never changed after `train`, so threads and jobs may share it."""

    spelling: Spelling
    common: frozenset[str]
    rarity: Mapping[str, float]
    evidence: Mapping[str, tuple[tuple[Intent, float], ...]]
    floor: Mapping[Intent, float]

    @classmethod
    def train(cls, phrases: Iterable[tuple[Intent, str]]) -> Classifier:
        """Multinomial naive Bayes with equal priors over tf-idf vectors of length one."""
        spoken = [(intent, words(text)) for intent, text in phrases]
        counts = Counter(word for _, said in spoken for word in set(said))
        common = frozenset(word for word, count in counts.items() if count > 1)
        rows = [(intent, features(said, common)) for intent, said in spoken]
        rarity = _rarity([row for _, row in rows])
        totals = _totals((intent, _unit(row, rarity)) for intent, row in rows)
        evidence, floor = _weights(totals, len(rarity))
        return cls(Spelling.learn(counts), common, rarity, evidence, floor)

    def classify(self, text: str) -> Guess:
        """What the rules settle is certain; else the likeliest intent, or fallback in doubt."""
        said = words(text)
        if not said:
            return NOTHING_SAID
        certain = certain_intent(said)
        if certain:
            return Guess(certain, 1.0, ((certain, 1.0),))
        mended = [self.spelling.mend(word) for word in said]
        whole = self._guess(mended)
        if len(mended) < STORY_WORDS or _is_clear(whole):
            return whole
        return max(self._clear_parts(mended), key=lambda part: part.confidence, default=whole)

    def _clear_parts(self, story: Sequence[str]) -> list[Guess]:
        step = max(WINDOW_STEP, len(story) // MOST_WINDOWS)
        starts = range(0, len(story) - WINDOW_WORDS + step, step)
        parts = (self._guess(story[start : start + WINDOW_WORDS]) for start in starts)
        return [part for part in parts if _is_clear(part)]

    def _guess(self, said: Sequence[str]) -> Guess:
        scores = self._probabilities(said)
        if scores.get(Intent.OPT_OUT, 0.0) < LOWEST_OPT_OUT or not may_be_opt_out(said):
            scores.pop(Intent.OPT_OUT, None)
        return _decide(scores)

    def _probabilities(self, said: Sequence[str]) -> dict[Intent, float]:
        row = _unit(features(said, self.common), self.rarity)
        mass = sum(row.values())
        scores = {intent: mass * floor for intent, floor in self.floor.items()}
        for feature, weight in row.items():
            for intent, evidence in self.evidence[feature]:
                scores[intent] += weight * evidence
        if Intent.FALLBACK in scores:
            scores[Intent.FALLBACK] += FALLBACK_HEAD_START
        return _softmax(scores)


@cache
def load_default() -> Classifier:
    """Read and trained on the first message, so that importing the bot costs nothing."""
    lines = PHRASES.read_text(encoding="utf-8").splitlines()
    pairs = (line.split("\t", 1) for line in lines if line)
    return Classifier.train((Intent(intent), text) for intent, text in pairs)


def classify(text: str) -> Guess:
    """What the customer wants, by the phrases that come with Prosa."""
    return load_default().classify(text)


def _is_clear(guess: Guess) -> bool:
    return guess.intent not in COURTESIES and guess.confidence >= CLEAR


def _decide(scores: Mapping[Intent, float]) -> Guess:
    ranked = sorted(scores.items(), key=lambda pair: (-pair[1], pair[0]))
    top = tuple(ranked[:TOP])
    if not top:
        return NOTHING_SAID
    intent, confidence = top[0]
    if confidence < LOWEST_CONFIDENCE:
        return Guess(Intent.FALLBACK, 1.0 - confidence, top)
    return Guess(intent, confidence, top)


def _softmax(scores: Mapping[Intent, float]) -> dict[Intent, float]:
    highest = max(scores.values(), default=0.0)
    shares = {intent: exp(score - highest) for intent, score in scores.items()}
    whole = sum(shares.values())
    return {intent: share / whole for intent, share in shares.items()}


def _rarity(rows: Sequence[Features]) -> dict[str, float]:
    seen: Counter[str] = Counter()
    for row in rows:
        seen.update(row.keys())
    return {feature: log((len(rows) + 1) / (count + 0.5)) for feature, count in seen.items()}


def _unit(row: Features, rarity: Mapping[str, float]) -> Features:
    """Length one, so that a long story weighs no more than a short request."""
    known = {
        feature: weight * rarity[feature] for feature, weight in row.items() if feature in rarity
    }
    length = sqrt(sum(weight * weight for weight in known.values())) or 1.0
    return {feature: weight / length for feature, weight in known.items()}


Totals = dict[Intent, dict[str, float]]


def _totals(rows: Iterable[tuple[Intent, Features]]) -> Totals:
    totals: Totals = {}
    for intent, row in rows:
        summed = totals.setdefault(intent, defaultdict(float))
        for feature, weight in row.items():
            summed[feature] += weight
    return totals


def _weights(
    totals: Totals, vocabulary: int
) -> tuple[dict[str, tuple[tuple[Intent, float], ...]], dict[Intent, float]]:
    """log((n + s) / N), split so that the many zero counts need no place.

    log(1 + n / s) is kept per word where n > 0; log(s / N) is the same for every word of an intent.
    """
    evidence: defaultdict[str, list[tuple[Intent, float]]] = defaultdict(list)
    floor: dict[Intent, float] = {}
    for intent, summed in sorted(totals.items()):
        floor[intent] = log(SMOOTHING / (sum(summed.values()) + SMOOTHING * vocabulary))
        for feature, weight in summed.items():
            evidence[feature].append((intent, log1p(weight / SMOOTHING)))
    return {feature: tuple(pairs) for feature, pairs in evidence.items()}, floor
