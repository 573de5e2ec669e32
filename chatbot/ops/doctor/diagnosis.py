"""The doctor's words: every check judged over the facts."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from flask_babel import gettext as _

from chatbot.ops.doctor.catalog import CHECKS, RedisCheck, Severity
from chatbot.ops.doctor.facts import ServerFacts


class CheckOutcome(StrEnum):
    FINE = "fine"
    TROUBLE = "trouble"
    UNKNOWN = "unknown"  # the server does not tell


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What one check found, in the reader's words; `sentence` and `mend` are empty without trouble."""

    name: str
    outcome: CheckOutcome
    severity: Severity
    question: str
    sentence: str = ""
    fix: str = ""


def diagnose(facts: ServerFacts) -> list[CheckResult]:
    """In the order of the table: what makes the rest unknowable comes first."""
    return [_run_check(check, facts) for check in CHECKS]


def get_worst_severity(findings: list[CheckResult]) -> Severity:
    troubles = (f.severity for f in findings if f.outcome is CheckOutcome.TROUBLE)
    return max(troubles, default=Severity.NOTE)


def _run_check(check: RedisCheck, facts: ServerFacts) -> CheckResult:
    question = _(check.question)
    try:
        values = check.run(facts)
    except LookupError:
        return CheckResult(check.name, CheckOutcome.UNKNOWN, check.severity, question)
    if values is None:
        return CheckResult(check.name, CheckOutcome.FINE, check.severity, question)
    sentence, fix = _(check.sentence, **values), _(check.fix, **values)
    return CheckResult(check.name, CheckOutcome.TROUBLE, check.severity, question, sentence, fix)
