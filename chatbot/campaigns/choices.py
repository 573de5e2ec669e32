"""The audiences that a person may choose from, with how many people each would reach."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from chatbot.campaigns.audience import suppressed_by
from chatbot.campaigns.ledger import SUPPRESSED
from chatbot.contacts.models import Contact, ContactTag
from chatbot.core.db import db
from chatbot.core.errors import AppError
from chatbot.segments.service import contacts_of, list_segments

MAX_TAGS = 200
MAX_SEGMENTS = 50


@dataclass(frozen=True, slots=True)
class Choice:
    """An audience to choose: how many people, and how many of them no campaign may reach, why.
    `label` is empty for all contacts; `fault` says why it can't be chosen."""

    value: str
    label: str
    people: int
    suppressed: Mapping[str, int]
    fault: AppError | None = None

    @property
    def reachable(self) -> int:
        return self.people - sum(self.suppressed.values())


def list_choices() -> list[Choice]:
    """All contacts, each segment, and each tag; the tags are counted in one statement."""
    counts = (sa.func.count(), *(_count_if(suppressed_by() == name) for name in SUPPRESSED))
    is_person = Contact.merged_into_id.is_(None)
    everybody = db.session.execute(sa.select(*counts).select_from(Contact).where(is_person)).one()
    by_tag = db.session.execute(
        sa.select(ContactTag.name, *counts)
        .join(Contact, Contact.id == ContactTag.contact_id)
        .where(is_person)
        .group_by(ContactTag.name)
        .order_by(ContactTag.name)
        .limit(MAX_TAGS)
    )
    tags = [_choice(f"tag:{name}", name, numbers) for name, *numbers in by_tag]
    return [_choice("all", "", everybody), *_segments(counts), *tags]


def _segments(counts: Sequence[Any]) -> Iterator[Choice]:
    """One whose rule no longer parses is shown with the reason, and counts nobody."""
    for segment in list_segments()[:MAX_SEGMENTS]:
        value = f"segment:{segment.id}"
        try:
            query = sa.select(*counts).where(Contact.id.in_(contacts_of(segment.id)))
            yield _choice(value, segment.name, db.session.execute(query).one())
        except AppError as error:
            yield Choice(value, segment.name, 0, {}, error)


def _count_if(holds: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
    return sa.func.coalesce(sa.func.sum(sa.case((holds, 1), else_=0)), 0)


def _choice(value: str, label: str, counts: Sequence[Any]) -> Choice:
    people, *numbers = counts
    named = zip(SUPPRESSED, numbers, strict=True)
    return Choice(value, label, people, {reason: number for reason, number in named if number})
