from __future__ import annotations

from datetime import timedelta

import sqlalchemy as sa
from flask import Flask

from chatbot.campaigns.models import Recipient
from chatbot.campaigns.sending.send_table import SEND_TABLE as RECIPIENTS
from chatbot.conversations.models import Author, Direction, Message
from chatbot.conversations.replies import REPLY_SEND_TABLE as REPLIES
from chatbot.core import clock
from chatbot.core.db import db, db_now
from chatbot.delivery.models import DoubleAcceptance, MessageState, ReceiptWatermark
from chatbot.delivery.outbound import CallbackId
from chatbot.delivery.receipts import Receipt, advance_watermark, apply_receipts
from chatbot.delivery.send_table import proves_unsent
from tests.support.call_counts import count_sql
from tests.support.factories import (
    ago,
    commit_and_detach,
    make_campaign,
    make_conversation,
    make_recipients,
)

SEND_TABLES = (REPLIES, RECIPIENTS)
NOW = clock.now().replace(microsecond=0)


def make_receipt(
    row_id: int | None, state: MessageState, wamid: str = "w", **more: object
) -> Receipt:
    attempt = more.pop("attempt", 1)
    callback = None if row_id is None else CallbackId("r", row_id, attempt)  # type: ignore[arg-type]
    fields = {"happened_at": NOW, **more}
    return Receipt(wamid=wamid, state=state, callback=callback, **fields)  # type: ignore[arg-type]


def apply(*receipts: Receipt) -> list[Receipt]:
    with db.engine.begin() as connection:
        return apply_receipts(connection, SEND_TABLES, receipts)


def get_row(row_id: int) -> Recipient:
    return commit_and_detach(db.session.get_one(Recipient, row_id, populate_existing=True))


def test_a_batch_with_repeats_is_applied_once_and_keeps_the_first_moment(any_app: Flask) -> None:
    ids = make_recipients(make_campaign(), 2, state=MessageState.SENDING, attempt=1)
    earlier = NOW - timedelta(minutes=5)
    batch = [
        make_receipt(i, state, f"w{i}", happened_at=moment)
        for i in ids
        for state, moment in (
            (MessageState.READ, NOW),
            (MessageState.SENT, NOW),
            (MessageState.SENT, earlier),
            (MessageState.READ, NOW),
        )
    ]
    assert apply(*batch, *batch) == []
    for row_id in ids:
        found = get_row(row_id)
        assert (found.state, found.sent_at, found.read_at) == ("read", earlier, NOW)


def test_a_thousand_statuses_are_a_handful_of_statements(any_app: Flask) -> None:
    ids = make_recipients(make_campaign(), 1000, state=MessageState.ACCEPTED, attempt=1)
    with count_sql(db.engine) as sql:
        apply(*(make_receipt(i, MessageState.DELIVERED, f"w{i}") for i in ids))
    assert sql.number <= 3, sql.statements
    states = db.session.scalars(sa.select(Recipient.state).distinct()).all()
    assert states == ["delivered"]


def test_a_status_without_callback_finds_its_row_by_its_id(any_app: Flask) -> None:
    (row_id,) = make_recipients(
        make_campaign(), 1, state=MessageState.ACCEPTED, attempt=1, wamid="known"
    )
    assert apply(make_receipt(None, MessageState.SENT, "known")) == []
    assert get_row(row_id).state == "sent"


def test_a_status_of_an_unknown_message_is_returned(any_app: Flask) -> None:
    (row_id,) = make_recipients(make_campaign(), 1, state=MessageState.SENDING, attempt=1)
    strange, vanished = (
        make_receipt(None, MessageState.SENT, "else"),
        make_receipt(row_id + 999, MessageState.SENT, "x"),
    )
    assert apply(strange, vanished) == [strange, vanished]
    assert get_row(row_id).state == "sending"


def test_an_attempt_that_was_never_made_proves_nothing(any_app: Flask) -> None:
    (row_id,) = make_recipients(make_campaign(), 1, state=MessageState.SENDING, attempt=1)
    forged = make_receipt(row_id, MessageState.READ, attempt=9)
    assert apply(forged) == [forged]
    assert get_row(row_id).state == "sending"


def test_an_inbound_message_has_no_status(any_app: Flask) -> None:
    conversation = make_conversation()
    message = Message(
        conversation_id=conversation.id,
        direction=Direction.INBOUND,
        author=Author.CONTACT,
        kind="text",
        occurred_at=NOW,
        wamid="theirs",
    )
    db.session.add(message)
    db.session.commit()
    db.session.execute(sa.update(Message).values(state=None))
    db.session.commit()
    stray = make_receipt(None, MessageState.READ, "theirs")
    assert apply(stray) == [stray]


def test_two_accepted_attempts_raise_the_alarm(any_app: Flask) -> None:
    (row_id,) = make_recipients(
        make_campaign(), 1, state=MessageState.ACCEPTED, attempt=2, wamid="second"
    )
    apply(make_receipt(row_id, MessageState.SENT, "first", attempt=1))
    assert _alarms() == [(row_id, 1, "first")]


def test_two_accepted_attempts_in_one_batch_raise_the_alarm(any_app: Flask) -> None:
    (row_id,) = make_recipients(make_campaign(), 1, state=MessageState.SENDING, attempt=2)
    apply(
        make_receipt(row_id, MessageState.SENT, "first", attempt=1),
        make_receipt(row_id, MessageState.DELIVERED, "second", attempt=2),
    )
    assert len(_alarms()) == 1
    assert get_row(row_id).state == "delivered"


def _alarms() -> list[tuple[int, int, str]]:
    alarms = db.session.scalars(sa.select(DoubleAcceptance)).all()
    db.session.expunge_all()
    db.session.rollback()
    return [(alarm.row_id, alarm.attempt, alarm.wamid) for alarm in alarms]


def test_a_late_failure_does_not_undo_a_delivery_but_is_kept(any_app: Flask) -> None:
    (row_id,) = make_recipients(
        make_campaign(), 1, state=MessageState.DELIVERED, attempt=1, wamid="w"
    )
    apply(make_receipt(row_id, MessageState.FAILED, error_code=131026, error_detail="gone\x00"))
    found = get_row(row_id)
    assert (found.state, found.error_code, found.error_detail) == ("delivered", 131026, "gone")


def test_a_missing_status_proves_something_only_once_the_backlog_is_drained(any_app: Flask) -> None:
    campaign = make_campaign()
    make_recipients(campaign, 1, state=MessageState.UNKNOWN, attempt=1, doubt_until=ago(10))

    def is_proven() -> bool:
        proof = proves_unsent(RECIPIENTS, campaign.channel_id, sa.true())
        with db.engine.connect() as connection:
            return connection.scalar(sa.select(Recipient.id).where(proof)) is not None

    assert not is_proven()
    with db.engine.begin() as connection:
        advance_watermark(connection, [campaign.channel_id], seconds_ago=60)
    assert not is_proven()
    with db.engine.begin() as connection:
        advance_watermark(connection, [campaign.channel_id], seconds_ago=0.5)
    assert is_proven()
    with db.engine.connect() as connection:
        late = sa.select(ReceiptWatermark).where(ReceiptWatermark.drained_at > db_now())
        assert connection.execute(late).first() is None
