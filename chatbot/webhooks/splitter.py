"""A body becomes updates, in one transaction; one that nobody can read is parked with the reason."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import msgspec
import sqlalchemy as sa

from chatbot.core.db import UtcDateTime, db, json_rows, moment_text, reading, storable
from chatbot.core.metrics import count
from chatbot.webhooks.counts import add_counts
from chatbot.webhooks.events import kind_of, write_event
from chatbot.webhooks.models import Lane, WebhookBody, WebhookUpdate, WorkState
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

BATCH = 500
MOST_BATCHES = 4  # then it is the turn of applying, whatever has come meanwhile
MOST_BYTES = 1_000_000  # of one batch, but for a single body, which may have 3 MB


def split_bodies(lane: Lane) -> tuple[int, bool]:
    """Split what has come on a lane, in the order in which it came.

    All of it, so that of one person's messages none is handled before an earlier one that has arrived.
    Returns how many bodies, and whether updates for the other lane were among them.
    """
    bodies, others = 0, False
    for _ in range(MOST_BATCHES):
        count, some_others = _split_batch(lane)
        bodies, others = bodies + count, others or some_others
        if not count:
            break
    return bodies, others


def _split_batch(lane: Lane, limit: int = BATCH) -> tuple[int, bool]:
    try:
        return _split(lane, limit)
    except (sa.exc.DataError, sa.exc.IntegrityError):
        log.exception("a batch of bodies could not be split; going one by one")
        return _split(lane, 1, is_last_try=True)


def _split(lane: Lane, limit: int, *, is_last_try: bool = False) -> tuple[int, bool]:
    """Reading comes first and holds no lock: a large body takes a while, and on SQLite all writers would
    wait for it. Of two workers that read the same bodies the second finds them split."""
    with reading(), db.engine.connect() as connection:
        bodies = _take(connection, lane, limit)
    if not bodies:
        return 0, False
    found = [(body, _read(body)) for body in bodies]
    with db.engine.begin() as connection:
        ours = _mark_split(connection, [body.id for body in bodies])
        mine = [(body, its) for body, its in found if body.id in ours]
        rows = _rows(mine)
        if not _insert(connection, rows, is_last_try):
            for body_id in ours:
                _park(connection, body_id, "its updates can't be stored")
            return len(bodies), False
        for body, its in mine:
            if its.problem is not None:
                _park(connection, body.id, its.problem)
        add_counts(connection, _counts(mine))
    is_new = WorkState.NEW
    return len(bodies), any(row["lane"] != lane and row["state"] == is_new for row in rows)


def _read(body: Any) -> Split:
    try:
        return split(body.raw, body.received_at)
    except UnreadableBody as error:
        return Split(counts=Counter({"unreadable body": 1}), problem=str(error))


def _counts(found: Sequence[tuple[Any, Split]]) -> Counter[str]:
    """What is replayed was counted when it came."""
    return sum((its.counts for body, its in found if not body.replays), Counter())


def _rows(found: Sequence[tuple[Any, Split]]) -> list[dict[str, object]]:
    """Meta repeats a body until she hears 200: what says the same is one update."""
    rows: dict[tuple[object, object], dict[str, object]] = {}
    for body, its in found:
        for row in (
            *(_row(body.id, event) for event in its.events),
            *(_parked_row(body, parked) for parked in its.parked),
        ):
            rows.setdefault((row["payload"], row["reason"]), row)
    return list(rows.values())


def _take(connection: sa.Connection, lane: Lane, limit: int) -> Sequence[Any]:
    """The oldest new bodies, as many as fit into memory at once."""
    sizes = connection.execute(
        sa.select(WebhookBody.id, sa.func.length(WebhookBody.raw))
        .where(WebhookBody.lane == lane, WebhookBody.state == WorkState.NEW)
        .order_by(WebhookBody.id)
        .limit(limit)
    ).all()
    ids: list[int] = []
    room = MOST_BYTES
    for body_id, size in sizes:
        room -= size
        if room < 0 and ids:
            break
        ids.append(body_id)
    if not ids:
        return []
    columns = (WebhookBody.id, WebhookBody.raw, WebhookBody.received_at, WebhookBody.replays)
    query = sa.select(*columns).where(WebhookBody.id.in_(ids)).order_by(WebhookBody.id)
    return connection.execute(query).all()


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


def _mark_split(connection: sa.Connection, ids: Sequence[int]) -> set[int]:
    """Those that nobody has split meanwhile."""
    taken = connection.scalars(
        sa.update(WebhookBody)
        .where(WebhookBody.id.in_(ids), WebhookBody.state == WorkState.NEW)
        .values(state=WorkState.DONE)
        .returning(WebhookBody.id)
    )
    return set(taken)


def _park(connection: sa.Connection, body_id: int, reason: str) -> None:
    count("webhooks", outcome="parked")
    connection.execute(
        sa.update(WebhookBody)
        .where(WebhookBody.id == body_id)
        .values(state=WorkState.PARKED, reason=storable(reason, 300))
    )
