"""What statuses mean beyond their row: who is not reached, who wants no more, what must stop.

Each failure counts once, however often Meta repeats it: the row's `failed_at` says whether it is news.
"""

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
from chatbot.core import clock
from chatbot.delivery.failures import DeliveryFailure
from chatbot.delivery.progress import RowProgress
from chatbot.delivery.results import DeliveryResult, ResultKind
from chatbot.delivery.send_table import SendTable
from chatbot.delivery.states import MessageState

# A number that WhatsApp could not reach so often, without anything reaching it, is left alone.
UNREACHABLE_AFTER = 2
_REACHED_STATES = frozenset({MessageState.DELIVERED, MessageState.READ})


def find_new_failures(
    connection: sa.Connection, send_table: SendTable, progress: Sequence[RowProgress]
) -> list[DeliveryFailure]:
    """Those failures of a batch that no row has on record yet. To be asked before they are written."""
    failed_rows = {
        e.row_id: e for e in progress if e.state is MessageState.FAILED and e.error_code is not None
    }
    if not failed_rows or send_table.side_effects is None:
        return []
    t = send_table.table
    new_ids = connection.scalars(
        sa.select(t.c.id).where(t.c.id.in_(list(failed_rows)), t.c.failed_at.is_(None))
    )
    return [
        DeliveryFailure(
            row_id=e.row_id,
            code=e.error_code or 0,
            detail=e.error_detail or "",
            happened_at=e.failed_at or clock.now(),
        )
        for e in (failed_rows[row_id] for row_id in new_ids)
    ]


def apply_side_effects(
    connection: sa.Connection,
    send_table: SendTable,
    progress: Sequence[RowProgress],
    failures: Sequence[DeliveryFailure],
) -> None:
    if send_table.side_effects is None:
        return
    if failures:
        send_table.side_effects.on_failed(connection, failures)
    reached = [e.row_id for e in progress if e.state in _REACHED_STATES]
    if reached:
        send_table.side_effects.on_reached(connection, reached)


def apply_result_side_effects(
    connection: sa.Connection, send_table: SendTable, results: Sequence[DeliveryResult]
) -> None:
    """The same for refusals that came as the answer of the send."""
    now = clock.now()
    failures = [
        DeliveryFailure(
            row_id=o.row_id, code=o.error_code, detail=o.error_detail or "", happened_at=now
        )
        for o in results
        if o.result is ResultKind.FAILED and o.error_code is not None
    ]
    if failures and send_table.side_effects is not None:
        send_table.side_effects.on_failed(connection, failures)


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
    """What the failures say of people. `contact_of` selects (row id, contact id) of the ledger `table`."""
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
    """Counted in the ledger's own rows, so that a repeated status counts nothing twice."""
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
