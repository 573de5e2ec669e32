from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest
import sqlalchemy as sa
from flask import Flask

from chatbot.campaigns.ledger import LEDGER
from chatbot.campaigns.models import Recipient
from chatbot.core.db import db
from chatbot.delivery.callback import CallbackId
from chatbot.delivery.outcomes import Outcome, Result, record
from chatbot.delivery.receipts import Receipt, apply_receipts
from chatbot.delivery.states import LADDER, RANK, State, may_rise
from tests.support.making import make_campaign, make_recipients

EVENTS = (State.ACCEPTED, State.SENT, State.DELIVERED, State.READ, State.FAILED)
BEGIN = datetime(2026, 11, 23, 12, tzinfo=UTC)


def _apply(connection: sa.Connection, row_id: int, event: State) -> None:
    if event is State.ACCEPTED:
        outcome = Outcome(row_id=row_id, attempt=1, result=Result.ACCEPTED, wamid=f"w{row_id}")
        record(connection, LEDGER, [outcome], 60)
        return
    receipt = Receipt(
        wamid=f"w{row_id}",
        state=event,
        happened_at=BEGIN + timedelta(seconds=RANK[event]),
        callback=CallbackId("r", row_id, 1),
        error_code=131026 if event is State.FAILED else None,
    )
    assert apply_receipts(connection, [LEDGER], [receipt]) == []


def _end_states(events: tuple[State, ...]) -> set[tuple[object, ...]]:
    orders = list(permutations(events))
    ids = make_recipients(make_campaign(), len(orders), state=State.SENDING, attempt=1)
    with db.engine.begin() as connection:
        for row_id, order in zip(ids, orders, strict=True):
            for event in order:
                _apply(connection, row_id, event)
        t = LEDGER.table
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
        ((State.ACCEPTED, State.SENT, State.FAILED), "failed"),
        ((State.ACCEPTED, State.DELIVERED, State.FAILED), "delivered"),
        ((State.SENT, State.FAILED), "failed"),
        ((State.ACCEPTED, State.READ), "read"),
    ],
)
def test_an_incomplete_story_ends_alike_in_any_order(
    app: Flask, events: tuple[State, ...], end: str
) -> None:
    assert {row[0] for row in _end_states(events)} == {end}


def test_each_state_has_its_rung_and_nothing_goes_down() -> None:
    assert set(LADDER) == set(State)
    for low in State:
        for high in State:
            assert may_rise(low, high) == (LADDER.index(high) > LADDER.index(low))


@pytest.mark.parametrize("state", [State.QUEUED, State.SKIPPED, State.SENDING, State.UNKNOWN])
def test_a_status_settles_a_row_wherever_it_stands(app: Flask, state: State) -> None:
    (row_id,) = make_recipients(make_campaign(), 1, state=state, attempt=1)
    with db.engine.begin() as connection:
        _apply(connection, row_id, State.DELIVERED)
    row = db.session.get_one(Recipient, row_id)
    assert (row.state, row.wamid) == ("delivered", f"w{row_id}")
    assert row.accepted_at is not None
