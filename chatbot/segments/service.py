"""Segments: save, delete, preview, and select their contacts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import sqlalchemy as sa
from flask import current_app

from chatbot.contacts.models import Contact
from chatbot.core import clock
from chatbot.core.db import db
from chatbot.core.errors import InvalidInput, NotFound
from chatbot.extensions import get_settings
from chatbot.segments.condition_kinds import condition_label
from chatbot.segments.models import Segment
from chatbot.segments.rules import Rule, parse_rule, select_contacts

MAX_NAME = 100
SAMPLE_SIZE = 5


def get_company_today() -> date:
    """Return today's date in the company's time zone, in which invoices are due."""
    return datetime.now(ZoneInfo(get_settings(current_app).timezone)).date()


def list_segments() -> list[Segment]:
    return list(db.session.scalars(sa.select(Segment).order_by(sa.func.lower(Segment.name))))


def get_segment(segment_id: int) -> Segment:
    found = db.session.get(Segment, segment_id)
    if found is None:
        raise NotFound("There is no segment %(id)s.", field="segment", id=segment_id)
    return found


def save_segment(segment: Segment | None, name: str, rule: Rule, by: str) -> Segment:
    """Create a segment (`segment` is None) or change it. Raises InvalidInput, naming the field."""
    name = " ".join(name.split())
    if not name or len(name) > MAX_NAME:
        raise InvalidInput(
            "The segment needs a name of at most %(most)s characters.", field="name", most=MAX_NAME
        )
    if segment is None:
        segment = Segment(created_by=by)
    taken = sa.select(Segment.id).where(Segment.name == name, Segment.id != (segment.id or 0))
    if db.session.scalar(taken) is not None:
        raise InvalidInput("A segment with this name already exists.", field="name")
    plain = msgspec.to_builtins(rule)
    parse_rule(plain)
    segment.name, segment.rule, segment.updated_at = name, plain, clock.now()
    db.session.add(segment)
    db.session.flush()
    return segment


def delete_segment(segment_id: int) -> None:
    """Delete a segment. Started campaigns keep their recipients, which are frozen."""
    db.session.delete(get_segment(segment_id))


def select_segment_contacts(segment_id: int) -> sa.Select[Any]:
    """Select the ids of the contacts that are in a segment today.

    Raises:
        NotFound: the segment was deleted.
        InvalidInput: its rule no longer parses.
    """
    return select_contacts(parse_rule(get_segment(segment_id).rule), get_company_today())


@dataclass(frozen=True, slots=True)
class RulePreview:
    count: int
    sample: Sequence[Contact]


def preview_rule(rule: Rule) -> RulePreview:
    """Count the contacts that match a rule, and load the first few."""
    ids = select_contacts(rule, get_company_today())
    count = db.session.scalar(sa.select(sa.func.count()).select_from(ids.subquery())) or 0
    people = sa.select(Contact).where(Contact.id.in_(ids)).order_by(Contact.search_name, Contact.id)
    return RulePreview(count, db.session.scalars(people.limit(SAMPLE_SIZE)).all())


def describe_rule(stored: Any) -> list[list[str]]:
    """Return the sentences of a stored rule, by group; empty if it no longer parses."""
    try:
        rule = parse_rule(stored)
    except InvalidInput:
        return []
    return [
        [condition_label(c.kind, c.name, c.value, negated=c.negated) for c in group]
        for group in rule
    ]
