"""Measures of the classifier on labelled lines. Pure."""

from __future__ import annotations

import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from chatbot.bot.intents import Intent
from chatbot.bot.understanding.classifier import Prediction, classify

CONFIDENT = 0.7  # from here on a wrong answer counts as confidently wrong


class UnreadableLine(ValueError):
    """A line that is not `intent<TAB>text[<TAB>style]`; the message names the line and the fault."""


@dataclass(frozen=True, slots=True)
class LabelledLine:
    """Text with the intents of which any counts as right, the first of them being the main one."""

    intents: tuple[Intent, ...]
    text: str
    style: str = ""


def parse_lines(text: str) -> list[LabelledLine]:
    """Parse lines `intent<TAB>text[<TAB>style]`; `a|b` names two intents. Raises UnreadableLine."""
    return [
        _parse_line(number, line)
        for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), start=1)
        if line.strip() and not line.startswith("#")
    ]


def _parse_line(number: int, line: str) -> LabelledLine:
    names, tab, rest = line.partition("\t")
    if not tab:
        raise UnreadableLine(f"line {number}: there is no tab between intent and text")
    unknown = [name for name in names.split("|") if name not in set(Intent)]
    if unknown:
        raise UnreadableLine(f"line {number}: {unknown[0]!r} is no intent")
    said, _, style = rest.partition("\t")
    return LabelledLine(tuple(map(Intent, names.split("|"))), said, style.strip())


def evaluate(lines: Sequence[LabelledLine]) -> dict[str, Any]:
    """Return the measures, each a share from 0 to 1; `ms` is the median time of one text."""
    predictions, times = [], []
    for line in lines:
        started = time.perf_counter()
        predictions.append(classify(line.text))
        times.append(1000 * (time.perf_counter() - started))
    pairs = list(zip(lines, predictions, strict=True))
    intents = _measure_intents(pairs)
    wrong = [p for line, p in pairs if p.intent not in line.intents]
    by_style: defaultdict[str, list[bool]] = defaultdict(list)
    for line, prediction in pairs:
        by_style[line.style].append(prediction.intent in line.intents)
    return {
        "lines": len(lines),
        "accuracy": _share(len(lines) - len(wrong), len(lines)),
        "macro_f1": _mean([measures["f1"] for measures in intents.values()]),
        "top3": _share(sum(_is_among_top(line, p) for line, p in pairs), len(lines)),
        "ms": statistics.median(times) if times else 0.0,
        "confident_wrong": _share(sum(p.confidence >= CONFIDENT for p in wrong), len(lines)),
        "intents": intents,
        "styles": {
            style: {"accuracy": _share(sum(right), len(right))}
            for style, right in sorted(by_style.items())
            if style
        },
        "opt_out": _measure_opt_out(pairs),
    }


Pairs = Sequence[tuple[LabelledLine, Prediction]]


def _is_among_top(line: LabelledLine, prediction: Prediction) -> bool:
    guesses = {prediction.intent, *(intent for intent, _ in prediction.scores[:3])}
    return bool(guesses & set(line.intents))


def _measure_intents(pairs: Pairs) -> dict[str, dict[str, float]]:
    """Return the measures of each intent that is a label. A line with two labels counts as the predicted."""
    right: Counter[Intent] = Counter()
    labelled: Counter[Intent] = Counter()
    predicted: Counter[Intent] = Counter()
    for line, prediction in pairs:
        is_right = prediction.intent in line.intents
        labelled[prediction.intent if is_right else line.intents[0]] += 1
        predicted[prediction.intent] += 1
        right[prediction.intent] += is_right
    return {
        intent.value: _measure(right[intent], predicted[intent], labelled[intent])
        for intent in sorted(labelled)
    }


def _measure(right: int, predicted: int, labelled: int) -> dict[str, float]:
    precision, recall = _share(right, predicted), _share(right, labelled)
    total = precision + recall
    return {
        "precision": precision,
        "recall": recall,
        "f1": 2 * precision * recall / total if total else 0.0,
    }


def _measure_opt_out(pairs: Pairs) -> dict[str, float]:
    """Measure what the bot does about consent: it acts at confidence 1, and asks below."""
    acted = [line for line, p in pairs if p.intent is Intent.OPT_OUT and p.confidence == 1.0]
    asked = [line for line, p in pairs if p.intent is Intent.OPT_OUT and p.confidence < 1.0]
    wanted = [line for line, _ in pairs if Intent.OPT_OUT in line.intents]
    met = [line for line in (*acted, *asked) if Intent.OPT_OUT in line.intents]
    others = len(pairs) - len(wanted)
    return {
        "acted_precision": _share(
            sum(Intent.OPT_OUT in line.intents for line in acted), len(acted)
        ),
        "recall": _share(len(met), len(wanted)),
        "asked_wrongly": sum(Intent.OPT_OUT not in line.intents for line in asked) / (others or 1),
    }


def _share(part: int, whole: int) -> float:
    """Return the share; 1 of nothing, since nothing went wrong."""
    return part / whole if whole else 1.0


def _mean(values: Sequence[float]) -> float:
    return statistics.fmean(values) if values else 1.0
