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

from chatbot.core.db import UtcDateTime, db, sanitize_text, timestamp_text
from chatbot.core.db.bulk_sql import json_rows
from chatbot.webhooks.bodies import list_new_bodies, mark_split, quarantine_body, record_attempt
from chatbot.webhooks.counts import add_counts
from chatbot.webhooks.events import StatusReceived, encode_event, get_event_kind
from chatbot.webhooks.models import WebhookQueue, WebhookUpdate, WorkState
from chatbot.webhooks.parsing.payloads import (
    ParsedBody,
    QuarantinedUpdate,
    UnreadableBody,
    get_contact_key,
    get_event_time,
    get_queue,
    parse_body,
)
from chatbot.webhooks.queues import MAX_ATTEMPTS

log = logging.getLogger(__name__)

_COLUMNS: dict[str, sa.types.TypeEngine[Any]] = {
    "body_id": sa.BigInteger(),
    "queue": sa.String(12),
    "kind": sa.String(40),
    "contact_key": sa.String(160),
    "payload": sa.Text(),
    "state": sa.String(12),
    "attempts": sa.Integer(),
    "reason": sa.String(300),
    "happened_at": UtcDateTime(),
}

# A body as it was taken, and what it says.
ParsedRow = tuple[Any, ParsedBody]
# Applies statuses within a transaction.
ApplyStatuses = Callable[[sa.Connection, Sequence[StatusReceived]], None]

MAX_BATCHES = 4  # then it is the turn of applying, whatever has come meanwhile


@dataclass(slots=True)
class SplitResult:
    """What was split: how many bodies, the statuses that were applied with it, and whether there were
    updates for the other queue."""

    body_count: int = 0
    applied: list[StatusReceived] = field(default_factory=list)
    has_other_queue: bool = False

    def add(self, more: SplitResult) -> None:
        self.body_count += more.body_count
        self.applied += more.applied
        self.has_other_queue |= more.has_other_queue


def split_bodies(queue: WebhookQueue, apply: ApplyStatuses | None = None) -> SplitResult:
    """Split what has come on a queue, in the order in which it came.

    All of it, so that of one person's messages none is handled before an earlier one that has arrived.
    Statuses are not stored as updates first when `apply` can take them in the same transaction.
    """
    found = SplitResult()
    for _ in range(MAX_BATCHES):
        batch = _split_batch(queue, apply)
        found.add(batch)
        if not batch.body_count:
            break
    return found


def _split_batch(queue: WebhookQueue, apply: ApplyStatuses | None) -> SplitResult:
    """Reading holds no lock: a large body takes a while, and on SQLite all writers would wait for it. Of
    two workers that read the same bodies the second finds them split."""
    bodies = list_new_bodies(queue)
    if not bodies or apply is None:
        return _split_or_isolate(queue, bodies, None)
    attempts = record_attempt(bodies[0].id)
    if attempts > MAX_ATTEMPTS:
        return _quarantine_first_body(bodies[0].id)
    try:
        # What ended a worker when it was applied is found among the updates, which have counts of their
        # own; what ended two is the body, or one behind it.
        return _split_or_isolate(
            queue, bodies if attempts <= 2 else bodies[:1], apply if attempts == 1 else None
        )
    except sa.exc.DBAPIError:  # the database's fault, and no body's
        with suppress(sa.exc.DBAPIError):
            record_attempt(bodies[0].id, -1)
        raise


def _split_or_isolate(
    queue: WebhookQueue, bodies: Sequence[Any], apply: ApplyStatuses | None
) -> SplitResult:
    found = [(body, _parse(body)) for body in bodies]
    try:
        return _store_updates(queue, found, apply) if found else SplitResult()
    except Exception:  # find the body, and then the update, that spoils the batch
        log.exception("a batch of %d bodies could not be split; going one by one", len(found))
        each = SplitResult()
        for one in found:
            each.add(_store_updates(queue, [one], None, is_last_try=True))
        return each


def _quarantine_first_body(body_id: int) -> SplitResult:
    with db.engine.begin() as connection:
        if mark_split(connection, [body_id]):  # else another worker has split it meanwhile
            quarantine_body(connection, body_id, "its worker ended each time it was tried")
    return SplitResult(1)


def _store_updates(
    queue: WebhookQueue,
    found: Sequence[ParsedRow],
    apply: ApplyStatuses | None,
    *,
    is_last_try: bool = False,
) -> SplitResult:
    with db.engine.begin() as connection:
        ours = mark_split(connection, [body.id for body, _ in found])
        mine = [(body, parsed) for body, parsed in found if body.id in ours]
        statuses = _list_statuses(mine) if apply else []
        rows = _build_rows(mine, without_statuses=apply is not None)
        if not _insert_rows(connection, rows, is_last_try):
            for body_id in ours:
                quarantine_body(connection, body_id, "its updates can't be stored")
            return SplitResult(len(found))
        for body, parsed in mine:
            if parsed.problem is not None:
                quarantine_body(connection, body.id, parsed.problem)
        if apply and statuses:
            apply(connection, statuses)
        add_counts(connection, _sum_counts(mine))
    is_new = WorkState.NEW
    has_other_queue = any(row["queue"] != queue and row["state"] == is_new for row in rows)
    return SplitResult(len(found), statuses, has_other_queue)


def _parse(body: Any) -> ParsedBody:
    try:
        return parse_body(body.raw, body.received_at)
    except UnreadableBody as error:
        return ParsedBody(counts=Counter({"unreadable body": 1}), problem=str(error))


def _sum_counts(found: Sequence[ParsedRow]) -> Counter[str]:
    """What is replayed was counted when it came."""
    total: Counter[str] = Counter()
    for body, parsed in found:
        if not body.replays:
            total.update(parsed.counts)
    return total


def _list_statuses(found: Sequence[ParsedRow]) -> list[StatusReceived]:
    return [
        event for _, parsed in found for event in parsed.events if isinstance(event, StatusReceived)
    ]


def _build_rows(found: Sequence[ParsedRow], *, without_statuses: bool) -> list[dict[str, object]]:
    """Meta repeats a body until she hears 200: what says the same is one update."""
    rows: dict[tuple[object, object], dict[str, object]] = {}
    for body, parsed in found:
        for row in (
            *(
                _build_row(body.id, event)
                for event in parsed.events
                if not (without_statuses and isinstance(event, StatusReceived))
            ),
            *(_build_quarantined_row(body, quarantined) for quarantined in parsed.quarantined),
        ):
            rows.setdefault((row["payload"], row["reason"]), row)
    return list(rows.values())


def _build_row(body_id: int, event: Any) -> dict[str, object]:
    return {
        "body_id": body_id,
        "queue": get_queue(event),
        "kind": get_event_kind(event),
        "contact_key": get_contact_key(event),
        "happened_at": timestamp_text(get_event_time(event)),
        "payload": encode_event(event),
        "state": WorkState.NEW,
        "attempts": 0,
        "reason": None,
    }


def _build_quarantined_row(body: Any, quarantined: QuarantinedUpdate) -> dict[str, object]:
    return {
        "body_id": body.id,
        "queue": WebhookQueue.STATUSES,
        "kind": quarantined.kind[:40],
        "contact_key": "",
        "happened_at": timestamp_text(body.received_at),
        "payload": msgspec.json.encode(quarantined.raw).decode(),
        "state": WorkState.QUARANTINED,
        "attempts": 0,
        "reason": sanitize_text(quarantined.reason, 300),
    }


def _insert_rows(
    connection: sa.Connection, rows: list[dict[str, object]], is_last_try: bool
) -> bool:
    """False at the last try of rows that no table takes."""
    try:
        with connection.begin_nested() if is_last_try else nullcontext():
            if rows:
                connection.execute(_build_insert(connection, rows))
    except (sa.exc.DataError, sa.exc.IntegrityError):
        if not is_last_try:
            raise
        log.exception("the updates of a body can't be stored")
        return False
    return True


def _build_insert(connection: sa.Connection, rows: list[dict[str, object]]) -> Any:
    """One statement for all rows, in their order."""
    cells = [[row[name] for name in _COLUMNS] for row in rows]
    v = json_rows(connection, cells, **_COLUMNS)
    return sa.insert(WebhookUpdate).from_select(list(_COLUMNS), sa.select(*v.c))
