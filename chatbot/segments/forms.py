"""Lines of a segment's form: `and` begins a new group, `or` joins the group above it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from chatbot.segments.rules import MAX_CONDITIONS, Condition, Rule

BLANK_LINES = 2


@dataclass(frozen=True, slots=True)
class RuleLine:
    """One line as it was typed."""

    connective: str
    condition: Condition

    @property
    def is_blank(self) -> bool:
        return not self.condition.kind


def parse_lines(form: Mapping[str, str]) -> list[RuleLine]:
    """Return the lines that are not blank, in order and unchecked."""
    lines = [_parse_line(form, number) for number in range(MAX_CONDITIONS)]
    return [line for line in lines if not line.is_blank]


def _parse_line(form: Mapping[str, str], number: int) -> RuleLine:
    condition = Condition(
        kind=form.get(f"kind-{number}", "")[:40],
        name=form.get(f"name-{number}", "")[:201],
        value=form.get(f"value-{number}", "")[:201],
        negated=form.get(f"sense-{number}") == "not",
    )
    return RuleLine("or" if form.get(f"join-{number}") == "or" else "and", condition)


def build_rule(lines: list[RuleLine]) -> list[list[Condition]]:
    rule: list[list[Condition]] = []
    for line in lines:
        if line.connective == "or" and rule:
            rule[-1].append(line.condition)
        else:
            rule.append([line.condition])
    return rule


def build_lines(rule: Rule) -> list[RuleLine]:
    return [
        RuleLine("or" if place else "and", condition)
        for group in rule
        for place, condition in enumerate(group)
    ]


def add_blank_lines(lines: list[RuleLine]) -> list[RuleLine]:
    """Append blank lines for more conditions, up to MAX_CONDITIONS in all."""
    free = MAX_CONDITIONS - len(lines)
    return [*lines, *[RuleLine("and", Condition(""))] * min(BLANK_LINES, free)]
