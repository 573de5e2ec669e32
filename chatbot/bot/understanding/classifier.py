"""Intent classifier: rules, then naive Bayes trained on our own phrases.

Pure: no network, no database, no clock. The same phrases always give the same model.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from math import exp, log, log1p, sqrt
from pathlib import Path

from chatbot.bot.intents import Intent
from chatbot.bot.understanding.consent import ConsentWish, find_consent_wish, may_mean_stop
from chatbot.bot.understanding.features import Features, extract_features
from chatbot.bot.understanding.rules import asks_for_person
from chatbot.bot.understanding.spelling import SpellingCorrector
from chatbot.bot.understanding.tokenization import tokenize

__all__ = ["Classifier", "Intent", "Prediction", "classify", "load_classifier"]

PHRASES = Path(__file__).with_name("phrases_pt_br.tsv")
SMOOTHING = 0.1
# A wrong answer costs more than asking again.
FALLBACK_BIAS = 0.5
MIN_CONFIDENCE = 0.35
# The phrases alone never decide about consent: from this probability on, the bot asks.
MIN_OPT_OUT_CONFIDENCE = 0.5
ASK_CONFIDENCE = 0.6
CONSENT_PREDICTIONS = {
    ConsentWish.STOP: (Intent.OPT_OUT, 1.0),
    ConsentWish.MAYBE_STOP: (Intent.OPT_OUT, ASK_CONFIDENCE),
    ConsentWish.START: (Intent.OPT_IN, 1.0),
    ConsentWish.MAYBE_START: (Intent.OPT_IN, ASK_CONFIDENCE),
}
TOP_SCORES = 3
# In a long message the request is a few words among many irrelevant ones, so a sliding window is
# classified. Its result must be clear, since many windows are tried.
LONG_MESSAGE_WORDS = 11
WINDOW_WORDS = 6
WINDOW_STEP = 3
MAX_WINDOWS = 12
CLEAR_CONFIDENCE = 0.7


@dataclass(frozen=True, slots=True)
class Prediction:
    """Classified intent; `scores` are the likeliest intents, best first."""

    intent: Intent
    confidence: float
    scores: tuple[tuple[Intent, float], ...] = ()


EMPTY_PREDICTION = Prediction(Intent.FALLBACK, 1.0)
# A request in the same message has precedence over these.
SMALL_TALK_INTENTS = frozenset({Intent.FALLBACK, Intent.GREETING, Intent.THANKS, Intent.GOODBYE})


@dataclass(frozen=True, slots=True)
class Classifier:
    """A trained model. It is immutable, so threads may share it."""

    spelling: SpellingCorrector
    common_words: frozenset[str]
    idf: Mapping[str, float]
    log_weights: Mapping[str, tuple[tuple[Intent, float], ...]]
    base_scores: Mapping[Intent, float]

    @classmethod
    def train(cls, phrases: Iterable[tuple[Intent, str]]) -> Classifier:
        """Train multinomial naive Bayes with equal priors over tf-idf vectors of length one."""
        tokenized = [(intent, tokenize(text)) for intent, text in phrases]
        counts = Counter(word for _, tokens in tokenized for word in set(tokens))
        common_words = frozenset(word for word, count in counts.items() if count > 1)
        rows = [(intent, extract_features(tokens, common_words)) for intent, tokens in tokenized]
        idf = _compute_idf([row for _, row in rows])
        totals = _sum_weights((intent, _normalize(row, idf)) for intent, row in rows)
        log_weights, base_scores = _compute_log_weights(totals, len(idf))
        return cls(SpellingCorrector.train(counts), common_words, idf, log_weights, base_scores)

    def classify(self, text: str) -> Prediction:
        """Return the intent of a rule with confidence 1, else the likeliest one, or fallback in doubt.

        An opt-out or opt-in below 1 is one that the bot asks about.
        """
        tokens = tokenize(text)
        if not tokens:
            return EMPTY_PREDICTION
        wish = find_consent_wish(text)
        if wish in (ConsentWish.STOP, ConsentWish.START):
            return _make_prediction(*CONSENT_PREDICTIONS[wish])
        if asks_for_person(tokens):
            return _make_prediction(Intent.TALK_TO_HUMAN, 1.0)
        if wish in CONSENT_PREDICTIONS:
            return _make_prediction(*CONSENT_PREDICTIONS[wish])
        prediction = self._predict_message(tokens)
        if prediction.intent is not Intent.OPT_OUT:
            return prediction
        if not may_mean_stop(text):
            return _pick_intent({i: p for i, p in prediction.scores if i is not Intent.OPT_OUT})
        return replace(prediction, confidence=min(prediction.confidence, ASK_CONFIDENCE))

    def _predict_message(self, tokens: Sequence[str]) -> Prediction:
        corrected = [self.spelling.correct(word) for word in tokens]
        whole = self._predict(corrected)
        if len(corrected) < LONG_MESSAGE_WORDS or _is_clear(whole):
            return whole
        return max(
            self._predict_windows(corrected), key=lambda part: part.confidence, default=whole
        )

    def _predict_windows(self, tokens: Sequence[str]) -> list[Prediction]:
        step = max(WINDOW_STEP, len(tokens) // MAX_WINDOWS)
        starts = range(0, len(tokens) - WINDOW_WORDS + step, step)
        parts = (self._predict(tokens[start : start + WINDOW_WORDS]) for start in starts)
        return [part for part in parts if _is_clear(part)]

    def _predict(self, tokens: Sequence[str]) -> Prediction:
        scores = self._predict_probabilities(tokens)
        if scores.get(Intent.OPT_OUT, 0.0) < MIN_OPT_OUT_CONFIDENCE:
            scores.pop(Intent.OPT_OUT, None)
        return _pick_intent(scores)

    def _predict_probabilities(self, tokens: Sequence[str]) -> dict[Intent, float]:
        row = _normalize(extract_features(tokens, self.common_words), self.idf)
        mass = sum(row.values())
        scores = {intent: mass * base_scores for intent, base_scores in self.base_scores.items()}
        for feature, weight in row.items():
            for intent, log_weights in self.log_weights[feature]:
                scores[intent] += weight * log_weights
        if Intent.FALLBACK in scores:
            scores[Intent.FALLBACK] += FALLBACK_BIAS
        return _softmax(scores)


@cache
def load_classifier() -> Classifier:
    """Read the phrases and train on the first call, so that importing the bot is cheap."""
    lines = PHRASES.read_text(encoding="utf-8").splitlines()
    pairs = (line.split("\t", 1) for line in lines if line)
    return Classifier.train((Intent(intent), text) for intent, text in pairs)


def classify(text: str) -> Prediction:
    """Classify with the phrases that come with Prosa."""
    return load_classifier().classify(text)


def _make_prediction(intent: Intent, confidence: float) -> Prediction:
    return Prediction(intent, confidence, ((intent, confidence),))


def _is_clear(prediction: Prediction) -> bool:
    return prediction.intent not in SMALL_TALK_INTENTS and prediction.confidence >= CLEAR_CONFIDENCE


def _pick_intent(scores: Mapping[Intent, float]) -> Prediction:
    ranked = sorted(scores.items(), key=lambda pair: (-pair[1], pair[0]))
    top = tuple(ranked[:TOP_SCORES])
    if not top:
        return EMPTY_PREDICTION
    intent, confidence = top[0]
    if confidence < MIN_CONFIDENCE:
        return Prediction(Intent.FALLBACK, 1.0 - confidence, top)
    return Prediction(intent, confidence, top)


def _softmax(scores: Mapping[Intent, float]) -> dict[Intent, float]:
    highest = max(scores.values(), default=0.0)
    shares = {intent: exp(score - highest) for intent, score in scores.items()}
    whole = sum(shares.values())
    return {intent: share / whole for intent, share in shares.items()}


def _compute_idf(rows: Sequence[Features]) -> dict[str, float]:
    seen: Counter[str] = Counter()
    for row in rows:
        seen.update(row.keys())
    return {feature: log((len(rows) + 1) / (count + 0.5)) for feature, count in seen.items()}


def _normalize(row: Features, idf: Mapping[str, float]) -> Features:
    """Scale to length one, so that a long message weighs no more than a short one."""
    known = {feature: weight * idf[feature] for feature, weight in row.items() if feature in idf}
    length = sqrt(sum(weight * weight for weight in known.values())) or 1.0
    return {feature: weight / length for feature, weight in known.items()}


WeightTotals = dict[Intent, dict[str, float]]


def _sum_weights(rows: Iterable[tuple[Intent, Features]]) -> WeightTotals:
    totals: WeightTotals = {}
    for intent, row in rows:
        summed = totals.setdefault(intent, defaultdict(float))
        for feature, weight in row.items():
            summed[feature] += weight
    return totals


def _compute_log_weights(
    totals: WeightTotals, vocabulary: int
) -> tuple[dict[str, tuple[tuple[Intent, float], ...]], dict[Intent, float]]:
    """Split log((n + s) / N) so that the many zero counts take no memory.

    log(1 + n / s) is kept per word where n > 0; log(s / N) is the same for every word of an intent.
    """
    log_weights: defaultdict[str, list[tuple[Intent, float]]] = defaultdict(list)
    base_scores: dict[Intent, float] = {}
    for intent, summed in sorted(totals.items()):
        base_scores[intent] = log(SMOOTHING / (sum(summed.values()) + SMOOTHING * vocabulary))
        for feature, weight in summed.items():
            log_weights[feature].append((intent, log1p(weight / SMOOTHING)))
    return {feature: tuple(pairs) for feature, pairs in log_weights.items()}, base_scores
