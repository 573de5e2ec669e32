"""Audiences to choose from, with how many contacts each would reach."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from chatbot.campaigns.models import Campaign
from chatbot.campaigns.suppression import SUPPRESSION_REASONS, list_suppression_conditions
from chatbot.contacts.models import Contact, ContactTag
from chatbot.core.db import db
from chatbot.core.errors import AppError
from chatbot.segments.service import list_segments, select_segment_contacts

MAX_TAGS = 200
MAX_SEGMENTS = 50


@dataclass(frozen=True, slots=True)
class AudienceOption:
    """An audience to choose: its contacts, and how many of them are suppressed, by reason.

    `label` is empty for all contacts. `error` says why the audience can't be chosen.
    """

    value: str
    label: str
    people: int
    suppressed: Mapping[str, int]
    error: AppError | None = None

    @property
    def reachable(self) -> int:
        return self.people - sum(self.suppressed.values())


def list_audience_options(campaign: Campaign) -> list[AudienceOption]:
    """Return all contacts, each segment, and each tag. One statement counts all tags."""
    counts = (sa.func.count().label("people"), *_count_by_reason(campaign))
    is_person = Contact.merged_into_id.is_(None)
    everybody = sa.select(*counts).select_from(Contact).where(is_person)
    by_tag = db.session.execute(
        sa.select(ContactTag.name, *counts)
        .join(Contact, Contact.id == ContactTag.contact_id)
        .where(is_person)
        .group_by(ContactTag.name)
        .order_by(ContactTag.name)
        .limit(MAX_TAGS)
    )
    return [
        _build_option("all", "", db.session.execute(everybody).mappings().one()),
        *_iter_segment_options(counts),
        *(_build_option(f"tag:{row['name']}", row["name"], row) for row in by_tag.mappings()),
    ]


def _iter_segment_options(counts: Sequence[Any]) -> Iterator[AudienceOption]:
    """Yield each segment. One whose rule no longer parses carries the error and counts 0."""
    for segment in list_segments()[:MAX_SEGMENTS]:
        value = f"segment:{segment.id}"
        try:
            query = sa.select(*counts).where(Contact.id.in_(select_segment_contacts(segment.id)))
            yield _build_option(value, segment.name, db.session.execute(query).mappings().one())
        except AppError as error:
            yield AudienceOption(value, segment.name, 0, {}, error)


def _count_by_reason(campaign: Campaign) -> Iterator[sa.ColumnElement[int]]:
    """Yield a count per reason. Each contact counts for the first that holds, as in `suppression_reason`."""
    earlier: list[sa.ColumnElement[bool]] = []
    for name, condition in list_suppression_conditions(campaign).items():
        yield _count_if(sa.and_(*earlier, condition)).label(name)
        earlier.append(~condition)


def _count_if(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
    return sa.func.coalesce(sa.func.sum(sa.case((condition, 1), else_=0)), 0)


def _build_option(value: str, label: str, counts: Mapping[Any, Any]) -> AudienceOption:
    suppressed = {reason: counts[reason] for reason in SUPPRESSION_REASONS if counts[reason]}
    return AudienceOption(value, label, counts["people"], suppressed)
