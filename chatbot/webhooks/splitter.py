"""A body becomes updates, in one transaction; one that nobody can read is parked with the reason.

Statuses are the exception, since they come by the thousand: they are applied with the same transaction,
and become updates only where that fails.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from typing import Any

import msgspec
import sqlalchemy as sa

from chatbot.core.db import UtcDateTime, db, moment_text, storable
from chatbot.core.rows import json_rows
from chatbot.webhooks.bodies import mark_split, note_attempt, park_body, take_bodies
from chatbot.webhooks.counts import add_counts
from chatbot.webhooks.events import StatusReceived, kind_of, write_event
from chatbot.webhooks.lanes import MAX_ATTEMPTS
from chatbot.webhooks.models import Lane, WebhookUpdate, WorkState
from chatbot.webhooks.payloads import (
    Parked,
    Split,
    UnreadableBody,
    contact_key_of,
    lane_of,
    moment_of,
    split,
)

log = logging.getLogger(__name__)

_COLUMNS: dict[str, sa.types.TypeEngine[Any]] = {
    "body_id": sa.BigInteger(),
    "lane": sa.String(10),
    "kind": sa.String(40),
    "contact_key": sa.String(160),
    "payload": sa.Text(),
    "state": sa.String(10),
    "attempts": sa.Integer(),
    "reason": sa.String(300),
    "happened_at": UtcDateTime(),
}

# A body as it was taken, and what it says.
Read = tuple[Any, Split]
# Applies statuses within a transaction.
Apply = Callable[[sa.Connection, Sequence[StatusReceived]], None]

MOST_BATCHES = 4  # then it is the turn of applying, whatever has come meanwhile


@dataclass(slots=True)
class Splitting:
    """What was split: how many bodies, the statuses that were applied with it, and whether there were
    updates for the other lane."""

    number: int = 0
    applied: list[StatusReceived] = field(default_factory=list)
    has_others: bool = False

    def add(self, more: Splitting) -> None:
        self.number += more.number
        self.applied += more.applied
        self.has_others |= more.has_others


def split_bodies(lane: Lane, apply: Apply | None = None) -> Splitting:
    """Split what has come on a lane, in the order in which it came.

    All of it, so that of one person's messages none is handled before an earlier one that has arrived.
    Statuses are not stored as updates first when `apply` can take them in the same transaction.
    """
    found = Splitting()
    for _ in range(MOST_BATCHES):
        batch = _split_batch(lane, apply)
        found.add(batch)
        if not batch.number:
            break
    return found


def _split_batch(lane: Lane, apply: Apply | None) -> Splitting:
    """Reading holds no lock: a large body takes a while, and on SQLite all writers would wait for it. Of
    two workers that read the same bodies the second finds them split."""
    bodies = take_bodies(lane)
    if not bodies or apply is None:
        return _split(lane, bodies, None)
    tried = note_attempt(bodies[0].id)
    if tried > MAX_ATTEMPTS:
        return _give_up(bodies[0].id)
    try:
        # What ended a worker when it was applied is found among the updates, which have counts of their
        # own; what ended two is the body, or one behind it.
        return _split(lane, bodies if tried <= 2 else bodies[:1], apply if tried == 1 else None)
    except sa.exc.DBAPIError:  # the database's fault, and no body's
        with suppress(sa.exc.DBAPIError):
            note_attempt(bodies[0].id, -1)
        raise


def _split(lane: Lane, bodies: Sequence[Any], apply: Apply | None) -> Splitting:
    found = [(body, _read(body)) for body in bodies]
    try:
        return _store(lane, found, apply) if found else Splitting()
    except Exception:  # find the body, and then the update, that spoils the batch
        log.exception("a batch of %d bodies could not be split; going one by one", len(found))
        each = Splitting()
        for one in found:
            each.add(_store(lane, [one], None, is_last_try=True))
        return each


def _give_up(body_id: int) -> Splitting:
    with db.engine.begin() as connection:
        if mark_split(connection, [body_id]):  # else another worker has split it meanwhile
            park_body(connection, body_id, "its worker ended each time it was tried")
    return Splitting(1)


def _store(
    lane: Lane, found: Sequence[Read], apply: Apply | None, *, is_last_try: bool = False
) -> Splitting:
    with db.engine.begin() as connection:
        ours = mark_split(connection, [body.id for body, _ in found])
        mine = [(body, its) for body, its in found if body.id in ours]
        statuses = _statuses(mine) if apply else []
        rows = _rows(mine, without_statuses=apply is not None)
        if not _insert(connection, rows, is_last_try):
            for body_id in ours:
                park_body(connection, body_id, "its updates can't be stored")
            return Splitting(len(found))
        for body, its in mine:
            if its.problem is not None:
                park_body(connection, body.id, its.problem)
        if apply and statuses:
            apply(connection, statuses)
        add_counts(connection, _counts(mine))
    is_new = WorkState.NEW
    has_others = any(row["lane"] != lane and row["state"] == is_new for row in rows)
    return Splitting(len(found), statuses, has_others)


def _read(body: Any) -> Split:
    try:
        return split(body.raw, body.received_at)
    except UnreadableBody as error:
        return Split(counts=Counter({"unreadable body": 1}), problem=str(error))


def _counts(found: Sequence[Read]) -> Counter[str]:
    """What is replayed was counted when it came."""
    total: Counter[str] = Counter()
    for body, its in found:
        if not body.replays:
            total.update(its.counts)
    return total


def _statuses(found: Sequence[Read]) -> list[StatusReceived]:
    return [event for _, its in found for event in its.events if isinstance(event, StatusReceived)]


def _rows(found: Sequence[Read], *, without_statuses: bool) -> list[dict[str, object]]:
    """Meta repeats a body until she hears 200: what says the same is one update."""
    rows: dict[tuple[object, object], dict[str, object]] = {}
    for body, its in found:
        for row in (
            *(
                _row(body.id, event)
                for event in its.events
                if not (without_statuses and isinstance(event, StatusReceived))
            ),
            *(_parked_row(body, parked) for parked in its.parked),
        ):
            rows.setdefault((row["payload"], row["reason"]), row)
    return list(rows.values())


def _row(body_id: int, event: Any) -> dict[str, object]:
    return {
        "body_id": body_id,
        "lane": lane_of(event),
        "kind": kind_of(event),
        "contact_key": contact_key_of(event),
        "happened_at": moment_text(moment_of(event)),
        "payload": write_event(event),
        "state": WorkState.NEW,
        "attempts": 0,
        "reason": None,
    }


def _parked_row(body: Any, parked: Parked) -> dict[str, object]:
    return {
        "body_id": body.id,
        "lane": Lane.STATUSES,
        "kind": parked.kind[:40],
        "contact_key": "",
        "happened_at": moment_text(body.received_at),
        "payload": msgspec.json.encode(parked.raw).decode(),
        "state": WorkState.PARKED,
        "attempts": 0,
        "reason": storable(parked.reason, 300),
    }


def _insert(connection: sa.Connection, rows: list[dict[str, object]], is_last_try: bool) -> bool:
    """False at the last try of rows that no table takes."""
    try:
        with connection.begin_nested() if is_last_try else nullcontext():
            if rows:
                connection.execute(_inserting(connection, rows))
    except (sa.exc.DataError, sa.exc.IntegrityError):
        if not is_last_try:
            raise
        log.exception("the updates of a body can't be stored")
        return False
    return True


def _inserting(connection: sa.Connection, rows: list[dict[str, object]]) -> Any:
    """One statement for all rows, in their order."""
    cells = [[row[name] for name in _COLUMNS] for row in rows]
    v = json_rows(connection, cells, **_COLUMNS)
    return sa.insert(WebhookUpdate).from_select(list(_COLUMNS), sa.select(*v.c))
