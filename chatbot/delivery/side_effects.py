"""Effects of failures on contacts, shared by the side effects of all send tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import sqlalchemy as sa

from chatbot.channels.whatsapp.errors import (
    COOL_DOWN,
    OPT_OUT,
    UNREACHABLE,
    ErrorPolicy,
    get_error_policy,
)
from chatbot.contacts import reachability
from chatbot.delivery.models import MessageState
from chatbot.delivery.send_table import DeliveryFailure

# A contact is left alone after so many undeliverable messages with nothing delivered in between.
UNREACHABLE_AFTER = 2


def group_by_policy(
    failures: Sequence[DeliveryFailure],
) -> Mapping[ErrorPolicy, list[DeliveryFailure]]:
    found: dict[ErrorPolicy, list[DeliveryFailure]] = {}
    for failure in failures:
        found.setdefault(get_error_policy(failure.code), []).append(failure)
    return found


def record_contact_effects(
    connection: sa.Connection,
    table: sa.Table,
    failures: Sequence[DeliveryFailure],
    contact_of: sa.Select[int, int],
) -> None:
    """Record opt-outs, pauses of marketing and unreachable contacts.

    `contact_of` selects (row id, contact id) of the send table `table`.
    """
    about = {OPT_OUT, COOL_DOWN, UNREACHABLE}
    relevant = {f.row_id: f for f in failures if f.code in about}
    if not relevant:
        return
    rows = contact_of.where(table.c.id.in_(list(relevant)))
    people = [(relevant[row_id], contact_id) for row_id, contact_id in connection.execute(rows)]
    if stopped := _times_by_contact(people, OPT_OUT):
        reachability.record_opt_outs(connection, stopped, str(OPT_OUT))
    if cooling := _times_by_contact(people, COOL_DOWN):
        reachability.pause_marketing(connection, cooling)
    if missed := _times_by_contact(people, UNREACHABLE):
        _record_unreachable(connection, table, list(missed), contact_of)


def _times_by_contact(
    people: Sequence[tuple[DeliveryFailure, int]], code: int
) -> dict[int, datetime]:
    return {contact_id: f.happened_at for f, contact_id in people if f.code == code}


def _record_unreachable(
    connection: sa.Connection,
    table: sa.Table,
    contact_ids: Sequence[int],
    contact_of: sa.Select[int, int],
) -> None:
    """Mark contacts with enough failed rows; counting rows makes repeated statuses count once."""
    contact_id = contact_of.selected_columns[1]
    unreachable = (
        contact_of.with_only_columns(contact_id)
        .where(
            contact_id.in_(contact_ids),
            table.c.error_code == UNREACHABLE,
            table.c.state == MessageState.FAILED,
        )
        .group_by(contact_id)
        .having(sa.func.count() >= UNREACHABLE_AFTER)
    )
    ids = connection.scalars(unreachable).all()
    if ids:
        reachability.mark_unreachable(connection, ids)
