"""The lines of a segment's form: `and` begins a new group, `or` joins the group above it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from chatbot.segments.rules import MOST_CONDITIONS, Condition, Rule

BLANK_LINES = 2


@dataclass(frozen=True, slots=True)
class Line:
    """One line as it was typed; blank where nothing was chosen."""

    join: str
    condition: Condition

    @property
    def is_blank(self) -> bool:
        return not self.condition.kind


def read_lines(form: Mapping[str, str]) -> list[Line]:
    """The lines that say something, in their order; nothing of them is checked yet."""
    lines = [_line(form, number) for number in range(MOST_CONDITIONS)]
    return [line for line in lines if not line.is_blank]


def _line(form: Mapping[str, str], number: int) -> Line:
    condition = Condition(
        kind=form.get(f"kind-{number}", "")[:40],
        name=form.get(f"name-{number}", "")[:201],
        value=form.get(f"value-{number}", "")[:201],
        negated=form.get(f"sense-{number}") == "not",
    )
    return Line("or" if form.get(f"join-{number}") == "or" else "and", condition)


def rule_of(lines: list[Line]) -> list[list[Condition]]:
    rule: list[list[Condition]] = []
    for line in lines:
        if line.join == "or" and rule:
            rule[-1].append(line.condition)
        else:
            rule.append([line.condition])
    return rule


def lines_of(rule: Rule) -> list[Line]:
    return [
        Line("or" if place else "and", condition)
        for group in rule
        for place, condition in enumerate(group)
    ]


def with_blanks(lines: list[Line]) -> list[Line]:
    """Room to write more, as far as more is allowed."""
    free = MOST_CONDITIONS - len(lines)
    return [*lines, *[Line("and", Condition(""))] * min(BLANK_LINES, free)]
