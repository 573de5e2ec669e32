"""Rules of segments: groups of conditions, as data.

All groups must hold. A group holds if any of its conditions does, and each condition may be negated. Any
combination of and, or and not can be written this way (conjunctive normal form):
`[[{"kind": "tag", "value": "vip"}], [{"kind": "seen_within", "value": "30"}, ...]]`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import msgspec
import sqlalchemy as sa

from chatbot.contacts.models import Contact
from chatbot.core.errors import InvalidInput
from chatbot.segments.condition_kinds import CONDITION_KINDS, ValueType

MAX_CONDITIONS = 30
MAX_VALUE_LENGTH = 200
MAX_DAYS = 3650


class Condition(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One condition. `name` is that of an attribute; `value` is text or a whole number of days."""

    kind: str
    name: str = ""
    value: str = ""
    negated: bool = False


Rule = Sequence[Sequence[Condition]]


def parse_rule(stored: Any) -> list[list[Condition]]:
    """Parse and check a rule from stored or typed JSON.

    Raises:
        InvalidInput: the rule is not valid; the message names the line.
    """
    try:
        rule = msgspec.convert(stored, list[list[Condition]])
    except msgspec.ValidationError as error:
        raise InvalidInput(
            "The segment cannot be read: %(fault)s", field="rule", fault=str(error)
        ) from None
    conditions = [condition for group in rule for condition in group]
    if not conditions or not all(rule):
        raise InvalidInput("The segment needs at least one condition.", field="rule")
    if len(conditions) > MAX_CONDITIONS:
        raise InvalidInput(
            "A segment has at most %(most)s conditions.", field="rule", most=MAX_CONDITIONS
        )
    for number, condition in enumerate(conditions, start=1):
        check_condition(condition, number)
    return rule


def check_condition(condition: Condition, number: int) -> None:
    """Raise InvalidInput if the condition is not valid, naming its line."""
    kind = CONDITION_KINDS.get(condition.kind)
    if kind is None:
        raise InvalidInput("Line %(line)s: choose a condition.", field="rule", line=number)
    if kind.needs_name and (not condition.name.strip() or set(condition.name) & set('"\\')):
        raise InvalidInput(
            "Line %(line)s: enter the attribute's name, without quotation marks.",
            field="rule",
            line=number,
        )
    if kind.value_type is ValueType.TEXT and not condition.value.strip():
        raise InvalidInput("Line %(line)s: enter the value.", field="rule", line=number)
    if kind.value_type is ValueType.DAYS and _parse_days(condition) is None:
        raise InvalidInput(
            "Line %(line)s: enter a whole number of days, from 0 to %(most)s.",
            field="rule",
            line=number,
            most=MAX_DAYS,
        )
    if max(len(condition.name), len(condition.value)) > MAX_VALUE_LENGTH:
        raise InvalidInput(
            "Line %(line)s: at most %(most)s characters.",
            field="rule",
            line=number,
            most=MAX_VALUE_LENGTH,
        )


def _parse_days(condition: Condition) -> int | None:
    text = condition.value.strip()
    is_number = text.isascii() and text.isdigit() and len(text) < 6
    return int(text) if is_number and int(text) <= MAX_DAYS else None


def compile_rule(rule: Rule, today: date) -> sa.ColumnElement[bool]:
    """Compile a rule to a condition over Contact. `today` is the date in the company's time zone."""
    return sa.and_(*(sa.or_(*(_compile_condition(c, today) for c in group)) for group in rule))


def _compile_condition(condition: Condition, today: date) -> sa.ColumnElement[bool]:
    value = condition.value.strip()
    holds = CONDITION_KINDS[condition.kind].build(condition.name.strip(), value, today)
    return sa.not_(holds) if condition.negated else holds


def select_contacts(rule: Rule, today: date) -> sa.Select[Any]:
    """Select the ids of the contacts that match, without merged contacts."""
    return sa.select(Contact.id).where(Contact.merged_into_id.is_(None), compile_rule(rule, today))
