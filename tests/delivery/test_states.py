from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest
import sqlalchemy as sa
from flask import Flask

from chatbot.campaigns.models import Recipient
from chatbot.campaigns.sending.send_table import SEND_TABLE
from chatbot.core.db import db
from chatbot.delivery.models import RANK, STATE_ORDER, MessageState
from chatbot.delivery.outbound import CallbackId
from chatbot.delivery.receipts import Receipt, apply_receipts
from chatbot.delivery.results import ResultKind, SendResult, record_results
from tests.support.factories import make_campaign, make_recipients

EVENTS = (
    MessageState.ACCEPTED,
    MessageState.SENT,
    MessageState.DELIVERED,
    MessageState.READ,
    MessageState.FAILED,
)
BEGIN = datetime(2026, 11, 23, 12, tzinfo=UTC)


def _apply(connection: sa.Connection, row_id: int, event: MessageState) -> None:
    if event is MessageState.ACCEPTED:
        result = SendResult(row_id=row_id, attempt=1, kind=ResultKind.ACCEPTED, wamid=f"w{row_id}")
        record_results(connection, SEND_TABLE, [result], 60)
        return
    receipt = Receipt(
        wamid=f"w{row_id}",
        state=event,
        happened_at=BEGIN + timedelta(seconds=RANK[event]),
        callback=CallbackId("r", row_id, 1),
        error_code=131026 if event is MessageState.FAILED else None,
    )
    assert apply_receipts(connection, [SEND_TABLE], [receipt]) == []


def _end_states(events: tuple[MessageState, ...]) -> set[tuple[object, ...]]:
    orders = list(permutations(events))
    ids = make_recipients(make_campaign(), len(orders), state=MessageState.SENDING, attempt=1)
    with db.engine.begin() as connection:
        for row_id, order in zip(ids, orders, strict=True):
            for event in order:
                _apply(connection, row_id, event)
        t = SEND_TABLE.table
        moments = (t.c.sent_at, t.c.delivered_at, t.c.read_at, t.c.failed_at, t.c.error_code)
        rows = connection.execute(sa.select(t.c.state, t.c.attempt, *moments)).all()
    return {tuple(row) for row in rows}


def test_all_120_orders_of_events_end_in_one_state(any_app: Flask) -> None:
    ends = _end_states(EVENTS)
    assert len(ends) == 1
    state, attempt, *moments = next(iter(ends))
    assert (state, attempt) == ("read", 1)
    assert None not in moments


@pytest.mark.parametrize(
    ("events", "end"),
    [
        ((MessageState.ACCEPTED, MessageState.SENT, MessageState.FAILED), "failed"),
        ((MessageState.ACCEPTED, MessageState.DELIVERED, MessageState.FAILED), "delivered"),
        ((MessageState.SENT, MessageState.FAILED), "failed"),
        ((MessageState.ACCEPTED, MessageState.READ), "read"),
    ],
)
def test_missing_events_end_in_the_same_state_in_any_order(
    app: Flask, events: tuple[MessageState, ...], end: str
) -> None:
    assert {row[0] for row in _end_states(events)} == {end}


def test_each_state_has_its_rank() -> None:
    assert set(STATE_ORDER) == set(RANK) == set(MessageState)


@pytest.mark.parametrize(
    "state", [MessageState.QUEUED, MessageState.SKIPPED, MessageState.SENDING, MessageState.UNKNOWN]
)
def test_a_status_settles_a_row_in_any_state(app: Flask, state: MessageState) -> None:
    (row_id,) = make_recipients(make_campaign(), 1, state=state, attempt=1)
    with db.engine.begin() as connection:
        _apply(connection, row_id, MessageState.DELIVERED)
    row = db.session.get_one(Recipient, row_id)
    assert (row.state, row.wamid) == ("delivered", f"w{row_id}")
    assert row.accepted_at is not None
