"""In whatever order an answer and the statuses of a message come, it ends in the same state."""

from __future__ import annotations

from datetime import timedelta
from itertools import permutations

import sqlalchemy as sa
from flask import Flask

from chatbot.campaigns.ledger import LEDGER
from chatbot.campaigns.models import Recipient
from chatbot.core import clock
from chatbot.core.db import db
from chatbot.delivery.callback import CallbackId
from chatbot.delivery.outcomes import Outcome, Result, record
from chatbot.delivery.receipts import Receipt, apply_receipts
from chatbot.delivery.states import LADDER, State
from tests.support.making import make_campaign, make_recipients

WORDS = (State.ACCEPTED, State.SENT, State.DELIVERED, State.READ, State.FAILED)
NOW = clock.now().replace(microsecond=0)
AT = {word: NOW + timedelta(seconds=rank) for rank, word in enumerate(WORDS)}


def tell(row_ids: list[int], words: list[State]) -> None:
    """One step: each row hears one word."""
    heard = list(zip(row_ids, words, strict=True))
    answers = [
        Outcome(row_id=i, attempt=1, result=Result.ACCEPTED, wamid=f"w{i}")
        for i, word in heard
        if word is State.ACCEPTED
    ]
    receipts = [
        Receipt(
            wamid=f"w{i}",
            state=word,
            happened_at=AT[word],
            callback=CallbackId("r", i, 1),
            error_code=131026 if word is State.FAILED else None,
            error_detail="undeliverable" if word is State.FAILED else None,
        )
        for i, word in heard
        if word is not State.ACCEPTED
    ]
    with db.engine.begin() as connection:
        if answers:
            record(connection, LEDGER, answers, 60)
        assert apply_receipts(connection, [LEDGER], receipts) == []


def end_states(words: tuple[State, ...]) -> set[tuple[object, ...]]:
    orders = list(permutations(words))
    row_ids = make_recipients(make_campaign(), len(orders), state=State.SENDING, attempt=1)
    ranks: dict[int, int] = dict.fromkeys(row_ids, -1)
    for step in range(len(words)):
        tell(row_ids, [order[step] for order in orders])
        with db.engine.begin() as connection:
            for row_id, state in connection.execute(
                sa.select(Recipient.id, Recipient.state).where(Recipient.id.in_(row_ids))
            ):
                rank = LADDER.index(State(state))
                assert rank >= ranks[row_id], "the ladder went down"
                ranks[row_id] = rank
    columns = ("state", "error_code", "sent_at", "delivered_at", "read_at", "failed_at")
    query = sa.select(*(getattr(Recipient, name) for name in columns)).where(
        Recipient.id.in_(row_ids)
    )
    with db.engine.begin() as connection:
        return {tuple(row) for row in connection.execute(query)}


def test_all_120_orders_of_the_five_words_end_alike(any_app: Flask) -> None:
    moments = (AT[State.SENT], AT[State.DELIVERED], AT[State.READ], AT[State.FAILED])
    assert end_states(WORDS) == {("read", 131026, *moments)}


def test_failed_holds_unless_a_device_has_had_it(any_app: Flask) -> None:
    moments = (AT[State.SENT], None, None, AT[State.FAILED])
    assert end_states((State.ACCEPTED, State.SENT, State.FAILED)) == {("failed", 131026, *moments)}
