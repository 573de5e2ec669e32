from __future__ import annotations

import threading
import time
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from chatbot.bot.jobs import take_turns
from chatbot.campaigns.models import Recipient
from chatbot.contacts.models import Contact
from chatbot.conversations.models import Conversation, Message
from chatbot.core import clock
from chatbot.core.db import db
from chatbot.delivery.models import ReceiptWatermark
from chatbot.delivery.outcomes import Outcome, Result, record
from chatbot.webhooks import jobs, lanes, pipeline
from chatbot.webhooks.jobs import drain_messages, drain_statuses
from chatbot.webhooks.models import WaitingStatus, WebhookBody, WebhookUpdate
from tests.support.making import (
    make_campaign,
    make_channel,
    make_recipients,
    message_value,
    status_value,
)
from tests.support.webhooks import ANNA, BIA, all_of, drain, receive, release_all
from tests.support.wire import counted_sql


def texts() -> list[str]:
    return [message.text for message in all_of(Message)]


def test_a_body_that_comes_three_times_from_eight_threads_is_recorded_once(any_app: Flask) -> None:
    make_channel()
    values = [message_value(f"n{n}", wamid=f"w{n}", sender=f"5511{90000000 + n % 3}")
              for n in range(9)]  # fmt: skip
    for _ in range(3):
        receive(*values)
    barrier = threading.Barrier(8)
    errors: list[BaseException] = []

    def work() -> None:
        with any_app.app_context():
            barrier.wait()
            try:
                for _ in range(6):
                    drain_messages()
            except BaseException as error:
                errors.append(error)
            finally:
                db.session.rollback()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    time.sleep(0.5)  # what two threads fought for is free again after a moment
    drain()
    assert sorted(texts()) == [f"n{n}" for n in range(9)]
    assert len(all_of(Contact)) == len(all_of(Conversation)) == 3
    assert all_of(WebhookUpdate) == []
    for conversation in all_of(Conversation):
        said = [m for m in all_of(Message) if m.conversation_id == conversation.id]
        assert [m.wamid for m in said] == sorted(m.wamid for m in said), "out of order"


def test_one_persons_messages_are_taken_in_the_order_of_metas_time(any_app: Flask) -> None:
    now = time.time()
    receive(
        message_value("3", at=now),
        message_value("1", at=now - 20),
        message_value("2", at=now - 10),
        message_value("2b", at=now - 10),
    )
    drain()
    assert texts() == ["1", "2", "2b", "3"]


def test_a_message_older_than_an_answered_one_is_recorded_and_not_answered(any_app: Flask) -> None:
    receive(message_value("oi", sender=ANNA))
    drain()
    _turns()
    answers = len(all_of(Message)) - 1
    assert answers >= 1
    receive(message_value("quero meu boleto", sender=ANNA, at=time.time() - 300))
    drain()
    assert _turns() is None
    assert len(all_of(Message)) == answers + 2
    assert not any(message.needs_turn for message in all_of(Message))


def _turns() -> float | None:
    db.session.execute(
        sa.update(Conversation)
        .where(Conversation.turn_due_at.is_not(None))
        .values(turn_due_at=clock.from_unix(time.time() - 1))
    )
    db.session.commit()
    take_turns()
    return take_turns()


def test_a_failing_update_is_parked_after_its_tries_and_its_contact_goes_on(
    any_app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    record_inbound = pipeline.record_inbound

    def picky(channel: Any, sender: Any, message: Any, **more: Any) -> Any:
        if message.text == "veneno":
            raise RuntimeError("a bug")
        return record_inbound(channel, sender, message, **more)

    monkeypatch.setattr(pipeline, "record_inbound", picky)
    now = time.time()
    receive(
        message_value("veneno", sender=ANNA, at=now - 9),
        message_value("depois", sender=ANNA, at=now - 8),
        message_value("outra", sender=BIA, at=now - 7),
    )
    drain(1)
    assert texts() == ["outra"], "another contact must not wait"
    for _ in range(lanes.MAX_ATTEMPTS):
        release_all()
        drain(1)
    assert texts() == ["outra", "depois"]
    (parked,) = all_of(WebhookUpdate)
    assert (parked.state, parked.attempts) == ("parked", lanes.MAX_ATTEMPTS)
    assert "a bug" in parked.reason


def test_an_update_that_kills_its_worker_is_parked_and_takes_nobody_with_it(any_app: Flask) -> None:
    """A worker that is gone after the claim: nothing is given back, the lease just ends."""
    now = time.time()
    receive(*(message_value(str(n), sender=f"55119{80000000 + n}", at=now - 9 + n / 10)
              for n in range(6)))  # fmt: skip
    jobs.split_bodies(lanes.Lane.MESSAGES)
    killed = 0
    for _ in range(15):
        release_all()
        claimed = lanes.claim_updates(lanes.Lane.MESSAGES, 50)
        for update in claimed:
            if update.event.message.text == "2":
                killed += 1
                break
            pipeline.apply_personal(update)
    assert sorted(texts()) == ["0", "1", "3", "4", "5"]
    assert killed == lanes.MAX_ATTEMPTS
    (parked,) = all_of(WebhookUpdate)
    assert (parked.state, parked.reason) == ("parked", "its worker ended each time it was tried")


def test_a_body_whose_updates_no_table_takes_does_not_stop_the_lane(
    any_app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    from chatbot.webhooks import splitter

    row = splitter._row
    monkeypatch.setattr(
        splitter,
        "_row",
        lambda body_id, update: row(body_id, update) | ({"lane": None} if body_id == 1 else {}),
    )
    receive(message_value("ruim"))
    receive(message_value("boa"))
    drain()
    assert texts() == ["boa"]
    assert [body.state for body in all_of(WebhookBody)] == ["parked", "done"]


def test_a_status_that_comes_before_the_answer_of_its_send_counts(any_app: Flask) -> None:
    from chatbot.campaigns.ledger import LEDGER

    named, unnamed = make_recipients(make_campaign(), 2, state="sending", attempt=1)
    receive(status_value("w1", "delivered", biz_opaque_callback_data=f"r:{named}:1"))
    receive(status_value("w2", "delivered"))
    drain()
    assert [row.state for row in all_of(Recipient)] == ["delivered", "sending"]
    assert [waiting.wamid for waiting in all_of(WaitingStatus)] == ["w2"]
    with db.engine.begin() as connection:
        answers = [
            Outcome(row_id=named, attempt=1, result=Result.ACCEPTED, wamid="w1"),
            Outcome(row_id=unnamed, attempt=1, result=Result.ACCEPTED, wamid="w2"),
        ]
        record(connection, LEDGER, answers, 60)
    drain()
    assert [row.state for row in all_of(Recipient)] == ["delivered", "delivered"]
    assert all_of(WaitingStatus) == []


def test_another_programs_statuses_wait_and_harm_nothing(any_app: Flask) -> None:
    (row_id,) = make_recipients(make_campaign(), 1, state="sending", attempt=1)
    receive(status_value("theirs", "failed", biz_opaque_callback_data=f"order-{row_id}"))
    drain()
    assert all_of(Recipient)[0].state == "sending"
    assert len(all_of(WaitingStatus)) == 1


def test_the_lanes_say_when_they_have_run_dry(any_app: Flask) -> None:
    make_channel()
    receive(message_value())
    drain_statuses()
    assert all_of(ReceiptWatermark) == [], "a body of the other lane may hold statuses"
    drain()
    (mark,) = all_of(ReceiptWatermark)
    assert abs((clock.now() - mark.drained_at).total_seconds()) < 5


def test_a_number_that_is_not_ours_is_parked_shown_and_can_be_replayed(any_app: Flask) -> None:
    value = message_value("para outro")
    value["metadata"]["phone_number_id"] = "999"
    receive(value)
    drain()
    assert texts() == []
    runner = any_app.test_cli_runner()
    shown = runner.invoke(args=["webhooks", "list", "--parked"])
    assert "phone_number_id 999 is not one of ours" in shown.output
    number = all_of(WebhookBody)[0].id
    assert "para outro" in runner.invoke(args=["webhooks", "show", str(number)]).output
    channel = make_channel()
    db.session.execute(sa.update(type(channel)).values(phone_number_id="999"))
    db.session.commit()
    assert runner.invoke(args=["webhooks", "replay", str(number)]).exit_code == 0
    drain()
    assert texts() == ["para outro"]
    assert runner.invoke(args=["webhooks", "list", "--parked"]).output == ""
    missing = runner.invoke(args=["webhooks", "replay", "77777"])
    assert (missing.exit_code, "no webhook body 77777" in missing.output) == (1, True)


def test_replaying_what_was_applied_does_nothing_twice(any_app: Flask) -> None:
    receive(message_value("uma vez"))
    drain()
    any_app.test_cli_runner().invoke(args=["webhooks", "replay", "1"])
    drain()
    assert texts() == ["uma vez"]


def test_a_thousand_statuses_are_a_few_statements_from_the_body_on(any_app: Flask) -> None:
    ids = make_recipients(make_campaign(), 1000, state="accepted", attempt=1)
    for start in range(0, 1000, 100):
        receive(*(status_value(f"w{i}", recipient_id=f"5521{i:09d}", recipient_user_id=f"BR.{i}",
                               biz_opaque_callback_data=f"r:{i}:1")
                  for i in ids[start : start + 100]))  # fmt: skip
    with counted_sql(db.engine) as sql:
        drain_statuses()
    assert [row.state for row in all_of(Recipient)] == ["delivered"] * 1000
    assert sql.number <= 20, sql.statements
