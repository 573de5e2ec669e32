"""Diagnosis: the result of every check, in the user's language."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from flask_babel import gettext as _

from chatbot.ops.doctor.catalog import CHECKS, RedisCheck, Severity
from chatbot.ops.doctor.facts import ServerFacts


class CheckOutcome(StrEnum):
    FINE = "fine"
    TROUBLE = "trouble"
    UNKNOWN = "unknown"  # the server does not reveal what the check needs


@dataclass(frozen=True, slots=True)
class CheckResult:
    """Result of one check, translated. `sentence` and `fix` are only set if the outcome is TROUBLE."""

    name: str
    outcome: CheckOutcome
    severity: Severity
    question: str
    sentence: str = ""
    fix: str = ""


def diagnose(facts: ServerFacts) -> list[CheckResult]:
    """Run all checks, in the order of the table."""
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
