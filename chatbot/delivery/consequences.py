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
    Reaction,
    reaction_to,
)
from chatbot.contacts import reachability
from chatbot.core import clock
from chatbot.delivery.evidence import Evidence
from chatbot.delivery.failures import Failure
from chatbot.delivery.ledger import Ledger
from chatbot.delivery.outcomes import Outcome, Result
from chatbot.delivery.states import State

# A number that WhatsApp could not reach so often, without anything reaching it, is left alone.
UNREACHABLE_AFTER = 2
_REACHED = frozenset({State.DELIVERED, State.READ})


def fresh_failures(
    connection: sa.Connection, ledger: Ledger, evidence: Sequence[Evidence]
) -> list[Failure]:
    """Those failures of a batch that no row has on record yet. To be asked before they are written."""
    told = {e.row_id: e for e in evidence if e.state is State.FAILED and e.error_code is not None}
    if not told or ledger.consequences is None:
        return []
    t = ledger.table
    fresh = connection.scalars(
        sa.select(t.c.id).where(t.c.id.in_(list(told)), t.c.failed_at.is_(None))
    )
    return [
        Failure(
            row_id=e.row_id,
            code=e.error_code or 0,
            detail=e.error_detail or "",
            happened_at=e.failed_at or clock.now(),
        )
        for e in (told[row_id] for row_id in fresh)
    ]


def draw_consequences(
    connection: sa.Connection,
    ledger: Ledger,
    evidence: Sequence[Evidence],
    failures: Sequence[Failure],
) -> None:
    if ledger.consequences is None:
        return
    if failures:
        ledger.consequences.failed(connection, failures)
    reached = [e.row_id for e in evidence if e.state in _REACHED]
    if reached:
        ledger.consequences.reached(connection, reached)


def draw_from_answers(
    connection: sa.Connection, ledger: Ledger, outcomes: Sequence[Outcome]
) -> None:
    """The same for refusals that came as the answer of the send."""
    now = clock.now()
    failures = [
        Failure(row_id=o.row_id, code=o.error_code, detail=o.error_detail or "", happened_at=now)
        for o in outcomes
        if o.result is Result.FAILED and o.error_code is not None
    ]
    if failures and ledger.consequences is not None:
        ledger.consequences.failed(connection, failures)


def by_reaction(failures: Sequence[Failure]) -> Mapping[Reaction, list[Failure]]:
    found: dict[Reaction, list[Failure]] = {}
    for failure in failures:
        found.setdefault(reaction_to(failure.code), []).append(failure)
    return found


def note_people(
    connection: sa.Connection,
    table: sa.Table,
    failures: Sequence[Failure],
    contact_of: sa.Select[int, int],
) -> None:
    """What the failures say of people. `contact_of` selects (row id, contact id) of the ledger `table`."""
    about = {OPT_OUT, COOL_DOWN, UNREACHABLE}
    telling = {f.row_id: f for f in failures if f.code in about}
    if not telling:
        return
    rows = contact_of.where(table.c.id.in_(list(telling)))
    people = [(telling[row_id], contact_id) for row_id, contact_id in connection.execute(rows)]
    if stopped := _moments(people, OPT_OUT):
        reachability.note_opt_outs(connection, stopped, str(OPT_OUT))
    if cooling := _moments(people, COOL_DOWN):
        reachability.cool_down(connection, cooling)
    if missed := _moments(people, UNREACHABLE):
        _note_unreachable(connection, table, list(missed), contact_of)


def _moments(people: Sequence[tuple[Failure, int]], code: int) -> dict[int, datetime]:
    return {contact_id: f.happened_at for f, contact_id in people if f.code == code}


def _note_unreachable(
    connection: sa.Connection,
    table: sa.Table,
    contact_ids: Sequence[int],
    contact_of: sa.Select[int, int],
) -> None:
    """Counted in the ledger's own rows, so that a repeated status counts nothing twice."""
    contact_id = contact_of.selected_columns[1]
    often = (
        contact_of.with_only_columns(contact_id)
        .where(
            contact_id.in_(contact_ids),
            table.c.error_code == UNREACHABLE,
            table.c.state == State.FAILED,
        )
        .group_by(contact_id)
        .having(sa.func.count() >= UNREACHABLE_AFTER)
    )
    ids = connection.scalars(often).all()
    if ids:
        reachability.note_unreachable(connection, ids)
