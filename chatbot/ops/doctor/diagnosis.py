"""The doctor's words: every check judged over the facts."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from flask_babel import gettext as _

from chatbot.ops.doctor.checks import CHECKS, Check, Severity
from chatbot.ops.doctor.facts import Facts


class Outcome(StrEnum):
    FINE = "fine"
    TROUBLE = "trouble"
    UNKNOWN = "unknown"  # the server does not tell


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found, in the reader's words; `sentence` and `mend` are empty without trouble."""

    name: str
    outcome: Outcome
    severity: Severity
    question: str
    sentence: str = ""
    mend: str = ""


def diagnose(facts: Facts) -> list[Finding]:
    """In the order of the table: what makes the rest unknowable comes first."""
    return [_judge(check, facts) for check in CHECKS]


def worst(findings: list[Finding]) -> Severity:
    troubles = (f.severity for f in findings if f.outcome is Outcome.TROUBLE)
    return max(troubles, default=Severity.NOTE)


def _judge(check: Check, facts: Facts) -> Finding:
    question = _(check.question)
    try:
        values = check.look(facts)
    except LookupError:
        return Finding(check.name, Outcome.UNKNOWN, check.severity, question)
    if values is None:
        return Finding(check.name, Outcome.FINE, check.severity, question)
    sentence, mend = _(check.sentence, **values), _(check.mend, **values)
    return Finding(check.name, Outcome.TROUBLE, check.severity, question, sentence, mend)
