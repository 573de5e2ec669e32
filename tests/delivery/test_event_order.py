"""A message ends in the same state in any order of its answer and its statuses."""

from __future__ import annotations

from datetime import timedelta
from itertools import permutations

import sqlalchemy as sa
from flask import Flask

from chatbot.campaigns.models import Recipient
from chatbot.campaigns.sending.send_table import SEND_TABLE
from chatbot.core import clock
from chatbot.core.db import db
from chatbot.delivery.models import STATE_ORDER, MessageState
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
NOW = clock.now().replace(microsecond=0)
AT = {event: NOW + timedelta(seconds=rank) for rank, event in enumerate(EVENTS)}


def apply_step(row_ids: list[int], events: list[MessageState]) -> None:
    """Apply one event to each row."""
    steps = list(zip(row_ids, events, strict=True))
    answers = [
        SendResult(row_id=i, attempt=1, kind=ResultKind.ACCEPTED, wamid=f"w{i}")
        for i, event in steps
        if event is MessageState.ACCEPTED
    ]
    receipts = [
        Receipt(
            wamid=f"w{i}",
            state=event,
            happened_at=AT[event],
            callback=CallbackId("r", i, 1),
            error_code=131026 if event is MessageState.FAILED else None,
            error_detail="undeliverable" if event is MessageState.FAILED else None,
        )
        for i, event in steps
        if event is not MessageState.ACCEPTED
    ]
    with db.engine.begin() as connection:
        if answers:
            record_results(connection, SEND_TABLE, answers, 60)
        assert apply_receipts(connection, [SEND_TABLE], receipts) == []


def end_states(events: tuple[MessageState, ...]) -> set[tuple[object, ...]]:
    orders = list(permutations(events))
    row_ids = make_recipients(make_campaign(), len(orders), state=MessageState.SENDING, attempt=1)
    ranks: dict[int, int] = dict.fromkeys(row_ids, -1)
    for step in range(len(events)):
        apply_step(row_ids, [order[step] for order in orders])
        with db.engine.begin() as connection:
            for row_id, state in connection.execute(
                sa.select(Recipient.id, Recipient.state).where(Recipient.id.in_(row_ids))
            ):
                rank = STATE_ORDER.index(MessageState(state))
                assert rank >= ranks[row_id], "a state was lowered"
                ranks[row_id] = rank
    columns = ("state", "error_code", "sent_at", "delivered_at", "read_at", "failed_at")
    query = sa.select(*(getattr(Recipient, name) for name in columns)).where(
        Recipient.id.in_(row_ids)
    )
    with db.engine.begin() as connection:
        return {tuple(row) for row in connection.execute(query)}


def test_all_120_orders_of_five_events_end_in_one_state(any_app: Flask) -> None:
    moments = (
        AT[MessageState.SENT],
        AT[MessageState.DELIVERED],
        AT[MessageState.READ],
        AT[MessageState.FAILED],
    )
    assert end_states(EVENTS) == {("read", 131026, *moments)}


def test_failed_stays_unless_it_was_delivered(any_app: Flask) -> None:
    moments = (AT[MessageState.SENT], None, None, AT[MessageState.FAILED])
    assert end_states((MessageState.ACCEPTED, MessageState.SENT, MessageState.FAILED)) == {
        ("failed", 131026, *moments)
    }
