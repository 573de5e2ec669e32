"""Audience of a campaign: selected by a spec, and frozen at the start into one recipient per person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from chatbot.campaigns.consent import is_marketing
from chatbot.campaigns.models import Campaign, Recipient
from chatbot.campaigns.suppression import NO_CONSENT, may_receive, suppression_reason
from chatbot.contacts.models import Contact, ContactTag
from chatbot.core.db import db_now
from chatbot.core.errors import InvalidInput, NotFound
from chatbot.delivery.models import MessageState
from chatbot.segments.service import get_segment, select_segment_contacts


def select_audience(spec: Mapping[str, Any]) -> sa.Select[Any]:
    """Select the contact ids of an audience, without merged contacts.

    A spec is `{"kind": "all"}`, `{"kind": "tag", "name": ...}` or `{"kind": "segment", "id": ...}`.

    Raises:
        InvalidInput: the kind is unknown, or the segment was deleted or no longer parses.
    """
    query = sa.select(Contact.id).where(Contact.merged_into_id.is_(None))
    if spec.get("kind") == "all":
        return query
    if spec.get("kind") == "tag" and spec.get("name"):
        tagged = sa.select(ContactTag.contact_id).where(ContactTag.name == spec["name"])
        return query.where(Contact.id.in_(tagged))
    if spec.get("kind") == "segment" and isinstance(spec.get("id"), int):
        return _select_segment(spec["id"])
    raise InvalidInput(
        "The audience is neither all contacts, nor a tag, nor a segment.", field="audience"
    )


def _select_segment(segment_id: int) -> sa.Select[Any]:
    try:
        return select_segment_contacts(segment_id)
    except NotFound:
        raise InvalidInput(
            "The segment was deleted: choose another audience.", field="audience"
        ) from None


def build_segment_audience(segment_id: int) -> dict[str, Any]:
    """Return the spec of a segment's audience, with its present name for the campaign's page."""
    return {"kind": "segment", "id": segment_id, "name": get_segment(segment_id).name}


def count_audience(connection: sa.Connection, spec: Mapping[str, Any]) -> int:
    query = sa.select(sa.func.count()).select_from(select_audience(spec).subquery())
    return connection.scalar(query) or 0


def count_suppressed(connection: sa.Connection, campaign: Campaign) -> dict[str, int]:
    """Count the contacts of the audience that the campaign may not write to, by (first) reason."""
    reason = suppression_reason(campaign)
    rows = connection.execute(
        sa.select(reason.label("suppressed_by"), sa.func.count())
        .where(Contact.id.in_(select_audience(campaign.audience)), reason.is_not(None))
        .group_by(sa.text("suppressed_by"))
    )
    return {str(name): count for name, count in rows}


def count_without_consent(connection: sa.Connection, campaign: Campaign) -> int:
    return count_suppressed(connection, campaign).get(NO_CONSENT, 0)


def find_missing_value(connection: sa.Connection, campaign: Campaign) -> tuple[str, int] | None:
    """Return the first column or attribute that contacts lack but a parameter needs, and how many lack it.

    The database counts, so that a million contacts are checked without loading them.
    """
    for source in campaign.parameters.values():
        kind, _, name = source.partition(":")
        if kind == "field":
            query = sa.select(sa.func.count()).where(
                Contact.id.in_(select_audience(campaign.audience)),
                may_receive(campaign),
                _is_value_missing(name),
            )
            missing = connection.scalar(query) or 0
            if missing:
                return name, missing
    return None


def _is_value_missing(name: str) -> sa.ColumnElement[bool]:
    columns: dict[str, Any] = {
        "name": Contact.name,
        "phone": Contact.phone,
        "document": Contact.document,
        "email": Contact.email,
    }
    column = columns.get(name, Contact.attributes[name].as_string())
    return sa.func.coalesce(sa.func.trim(column), "") == ""


def freeze_audience(connection: sa.Connection, campaign: Campaign) -> int:
    """Insert one recipient per contact of the audience, and return how many. Running twice adds nothing.

    Suppressed contacts get a row too: skipped, with the reason.
    """
    people = select_audience(campaign.audience).subquery()
    present = sa.exists().where(
        Recipient.campaign_id == campaign.id, Recipient.contact_id == people.c.id
    )
    reason = suppression_reason(campaign)
    rows = (
        sa.select(
            sa.literal(campaign.id),
            people.c.id,
            sa.case(
                (reason.is_(None), MessageState.QUEUED.value), else_=MessageState.SKIPPED.value
            ),
            reason,
            sa.literal(0),
            _due_at(campaign),
        )
        .join(Contact, Contact.id == people.c.id)
        .where(~present)
    )
    columns = ["campaign_id", "contact_id", "state", "skip_reason", "attempt", "due_at"]
    inserted = connection.execute(
        sa.insert(Recipient).from_select(columns, rows, include_defaults=False),
        execution_options={"preserve_rowcount": True},  # else it is -1 on PostgreSQL
    )
    return inserted.rowcount


def _due_at(campaign: Campaign) -> sa.ColumnElement[Any]:
    """Return when a recipient is due: now, or after the contact's marketing pause (Meta's limit per user)."""
    must_wait = sa.and_(Contact.marketing_paused_until > db_now(), is_marketing(campaign))
    return sa.case((must_wait, Contact.marketing_paused_until), else_=db_now())
