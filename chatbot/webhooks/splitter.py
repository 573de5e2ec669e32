"""Steps of splitting webhook bodies into updates, shared by both queues.

The two paths are in message_pipeline.py and status_pipeline.py. Each splits what has arrived, oldest first
and as much as there is, so that no message is handled before an earlier one of the same person.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import msgspec
import sqlalchemy as sa

from chatbot.core.db import UtcDateTime, db, sanitize_text, timestamp_text
from chatbot.core.db.bulk_sql import json_rows
from chatbot.webhooks.bodies import (
    claim_body,
    list_new_bodies,
    mark_split,
    quarantine_body,
    release_body,
)
from chatbot.webhooks.counts import add_counts
from chatbot.webhooks.events import Event, StatusReceived, encode_event, get_event_kind
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

MAX_BATCHES = 4  # split in one run; then updates are applied, even if more bodies have arrived

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

# Errors of the database that are about the values.
_REFUSALS = (sa.exc.DataError, sa.exc.IntegrityError)
# A row of `list_new_bodies` and its parsed content.
ParsedRow = tuple[Any, ParsedBody]
UpdateRow = dict[str, object]


@dataclass(slots=True)
class SplitResult:
    """Number of bodies that were split, and the queues that got new updates.

    `applied`: statuses that were applied in the same transaction and are still to be published.
    """

    body_count: int = 0
    queues: set[object] = field(default_factory=set)
    applied: list[StatusReceived] = field(default_factory=list)

    def add(self, other: SplitResult) -> None:
        self.body_count += other.body_count
        self.queues |= other.queues
        self.applied += other.applied


def split_bodies(
    queue: WebhookQueue, split_batch: Callable[[Sequence[ParsedRow]], SplitResult]
) -> SplitResult:
    """Split the new bodies of a queue, batch by batch, each with `split_batch`.

    One worker at a time splits a queue, so the attempts at a body are those that ended their worker.
    After one that did, the bodies of its batch are tried one at a time until the culprit is found.
    """
    total = SplitResult()
    for _ in range(MAX_BATCHES):
        bodies = list_new_bodies(queue)
        attempts = claim_body(bodies[0].id) if bodies else None
        if attempts is None:
            break
        if attempts == 1:
            total.add(_split_claimed(bodies, split_batch))
        else:
            total.add(_split_suspects(bodies, attempts))
    return total


def _split_suspects(bodies: Sequence[Any], attempts: int | None) -> SplitResult:
    """Split bodies one at a time, of which the first is claimed, and store all their updates."""
    total = SplitResult()
    for number, body in enumerate(bodies):
        if number:
            attempts = claim_body(body.id)
        if attempts is None:
            break
        if attempts > MAX_ATTEMPTS:
            total.add(_quarantine_deadly(body.id))
        else:
            total.add(_split_claimed([body], store_updates))
    return total


def _split_claimed(
    bodies: Sequence[Any], split_batch: Callable[[Sequence[ParsedRow]], SplitResult]
) -> SplitResult:
    try:
        return split_batch(parse_bodies(bodies))
    except Exception as error:
        is_bodys_fault = not isinstance(error, sa.exc.DBAPIError)
        with suppress(sa.exc.DBAPIError):
            release_body(bodies[0].id, counts=is_bodys_fault)
        raise


def _quarantine_deadly(body_id: int) -> SplitResult:
    with db.engine.begin() as connection:
        if mark_split(connection, [body_id]):  # else another worker has split it meanwhile
            quarantine_body(connection, body_id, "its worker ended each time it was tried")
    return SplitResult(1)


def parse_bodies(bodies: Sequence[Any]) -> list[ParsedRow]:
    """Parse bodies outside any transaction: a large one takes a while, and SQLite has one write lock."""
    return [(body, _parse(body)) for body in bodies]


def _parse(body: Any) -> ParsedBody:
    try:
        return parse_body(body.raw, body.received_at)
    except UnreadableBody as error:
        problem = str(error)
    except Exception as error:  # one body must not stop the queue
        log.exception("the parser failed on body %d", body.id)
        problem = f"{type(error).__name__}: {error}"
    return ParsedBody(counts=Counter({"unreadable body": 1}), problem=problem)


def store_updates(parsed_rows: Sequence[ParsedRow]) -> SplitResult:
    """Store the updates of bodies in one transaction; body by body if that fails."""
    try:
        with db.engine.begin() as connection:
            ours = take_bodies(connection, parsed_rows)
            rows = build_rows(ours)
            insert_rows(connection, rows)
            quarantine_unreadable(connection, ours)
            count_updates(connection, ours)
    except Exception:  # find the body that breaks the batch
        return store_one_by_one(parsed_rows)
    return make_result(parsed_rows, rows)


def store_one_by_one(parsed_rows: Sequence[ParsedRow]) -> SplitResult:
    """Store the updates of each body in its own transaction, after all of them in one have failed."""
    log.exception("a batch of %d bodies could not be split; going one by one", len(parsed_rows))
    total = SplitResult()
    for parsed_row in parsed_rows:
        total.add(_store_alone(parsed_row))
    return total


def _store_alone(parsed_row: ParsedRow) -> SplitResult:
    """Store the updates of one body, or quarantine the body if the table refuses them."""
    with db.engine.begin() as connection:
        ours = take_bodies(connection, [parsed_row])
        try:
            with connection.begin_nested():
                rows = build_rows(ours)
                insert_rows(connection, rows)
        except Exception as error:
            if isinstance(error, sa.exc.DBAPIError) and not isinstance(error, _REFUSALS):
                raise  # the database's fault, and not the body's
            log.exception("the updates of a body can't be stored")
            for body, _ in ours:
                quarantine_body(connection, body.id, "its updates can't be stored")
            return SplitResult(1)
        quarantine_unreadable(connection, ours)
        count_updates(connection, ours)
    return make_result([parsed_row], rows)


def take_bodies(connection: sa.Connection, parsed_rows: Sequence[ParsedRow]) -> list[ParsedRow]:
    """Mark bodies as split, and return those that no other worker has split meanwhile."""
    ours = mark_split(connection, [body.id for body, _ in parsed_rows])
    return [(body, parsed) for body, parsed in parsed_rows if body.id in ours]


def quarantine_unreadable(connection: sa.Connection, parsed_rows: Sequence[ParsedRow]) -> None:
    for body, parsed in parsed_rows:
        if parsed.problem is not None:
            quarantine_body(connection, body.id, parsed.problem)


def count_updates(connection: sa.Connection, parsed_rows: Sequence[ParsedRow]) -> None:
    """Add to the daily counts. Replayed bodies were counted when they arrived."""
    total: Counter[str] = Counter()
    for body, parsed in parsed_rows:
        if not body.replays:
            total.update(parsed.counts)
    add_counts(connection, total)


def make_result(parsed_rows: Sequence[ParsedRow], rows: Sequence[UpdateRow]) -> SplitResult:
    return SplitResult(
        len(parsed_rows), {row["queue"] for row in rows if row["state"] == WorkState.NEW}
    )


def build_rows(parsed_rows: Sequence[ParsedRow]) -> list[UpdateRow]:
    """Build the rows of updates. Equal ones become one, since Meta repeats a body until it gets a 200."""
    rows: dict[tuple[object, object], UpdateRow] = {}
    for body, parsed in parsed_rows:
        for row in (
            *(_build_row(body.id, event) for event in parsed.events),
            *(_build_quarantined_row(body, quarantined) for quarantined in parsed.quarantined),
        ):
            rows.setdefault((row["payload"], row["reason"]), row)
    return list(rows.values())


def _build_row(body_id: int, event: Event) -> UpdateRow:
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


def _build_quarantined_row(body: Any, quarantined: QuarantinedUpdate) -> UpdateRow:
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


def insert_rows(connection: sa.Connection, rows: Sequence[UpdateRow]) -> None:
    """Insert updates in their order, with one statement."""
    if rows:
        cells = [[row[name] for name in _COLUMNS] for row in rows]
        v = json_rows(connection, cells, **_COLUMNS)
        connection.execute(sa.insert(WebhookUpdate).from_select(list(_COLUMNS), sa.select(*v.c)))
