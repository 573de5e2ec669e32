from __future__ import annotations

import threading
import time
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from chatbot.bot.tasks import run_turns
from chatbot.campaigns.models import Recipient
from chatbot.contacts.models import Contact
from chatbot.conversations.models import Conversation, Message
from chatbot.core import clock
from chatbot.core.db import db
from chatbot.delivery.models import ReceiptWatermark
from chatbot.delivery.results import ResultKind, SendResult, record_results
from chatbot.webhooks import message_pipeline, queues, splitter
from chatbot.webhooks.models import WaitingStatus, WebhookBody, WebhookUpdate
from chatbot.webhooks.tasks import drain_messages, drain_statuses
from tests.support.call_counts import count_sql
from tests.support.factories import (
    make_campaign,
    make_channel,
    make_message_value,
    make_recipients,
    make_status_value,
)
from tests.support.webhooks import (
    ANNA,
    BIA,
    drain_queues,
    expire_update_leases,
    list_all,
    own_callback,
    store_webhook,
)


def list_texts() -> list[str]:
    return [message.text for message in list_all(Message)]


def test_a_body_received_three_times_is_recorded_once_by_eight_threads(any_app: Flask) -> None:
    make_channel()
    values = [make_message_value(f"n{n}", wamid=f"w{n}", sender=f"5511{90000000 + n % 3}")
              for n in range(9)]  # fmt: skip
    for _ in range(3):
        store_webhook(*values)
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
    time.sleep(0.5)  # until the leases of contended updates have ended
    drain_queues()
    assert sorted(list_texts()) == [f"n{n}" for n in range(9)]
    assert len(list_all(Contact)) == len(list_all(Conversation)) == 3
    assert list_all(WebhookUpdate) == []
    for conversation in list_all(Conversation):
        said = [m for m in list_all(Message) if m.conversation_id == conversation.id]
        assert [m.wamid for m in said] == sorted(m.wamid for m in said), "out of order"


def test_one_persons_messages_are_recorded_in_the_order_of_metas_timestamp(any_app: Flask) -> None:
    now = time.time()
    store_webhook(
        make_message_value("3", at=now),
        make_message_value("1", at=now - 20),
        make_message_value("2", at=now - 10),
        make_message_value("2b", at=now - 10),
    )
    drain_queues()
    assert list_texts() == ["1", "2", "2b", "3"]


def test_a_message_older_than_an_answered_one_is_recorded_and_not_answered(any_app: Flask) -> None:
    store_webhook(make_message_value("oi", sender=ANNA))
    drain_queues()
    _take_due_turns()
    answers = len(list_all(Message)) - 1
    assert answers >= 1
    store_webhook(make_message_value("quero meu boleto", sender=ANNA, at=time.time() - 300))
    drain_queues()
    assert _take_due_turns() is None
    assert len(list_all(Message)) == answers + 2
    assert not any(message.needs_turn for message in list_all(Message))


def _take_due_turns() -> float | None:
    db.session.execute(
        sa.update(Conversation)
        .where(Conversation.turn_due_at.is_not(None))
        .values(turn_due_at=clock.from_unix(time.time() - 1))
    )
    db.session.commit()
    run_turns()
    return run_turns()


def test_a_failing_update_is_quarantined_and_its_contacts_next_one_is_applied(
    any_app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    record_inbound = message_pipeline.record_inbound

    def picky(channel: Any, sender: Any, message: Any, **more: Any) -> Any:
        if message.text == "veneno":
            raise RuntimeError("a bug")
        return record_inbound(channel, sender, message, **more)

    monkeypatch.setattr(message_pipeline, "record_inbound", picky)
    now = time.time()
    store_webhook(
        make_message_value("veneno", sender=ANNA, at=now - 9),
        make_message_value("depois", sender=ANNA, at=now - 8),
        make_message_value("outra", sender=BIA, at=now - 7),
    )
    drain_queues(1)
    assert list_texts() == ["outra"], "another contact must not wait"
    for _ in range(queues.MAX_ATTEMPTS):
        expire_update_leases()
        drain_queues(1)
    assert list_texts() == ["outra", "depois"]
    (quarantined,) = list_all(WebhookUpdate)
    assert (quarantined.state, quarantined.attempts) == ("quarantined", queues.MAX_ATTEMPTS)
    assert "a bug" in quarantined.reason


def test_an_update_that_kills_its_worker_is_quarantined_alone(any_app: Flask) -> None:
    """A worker that is killed after the claim gives nothing back: its lease just ends."""
    now = time.time()
    store_webhook(*(make_message_value(str(n), sender=f"55119{80000000 + n}", at=now - 9 + n / 10)
              for n in range(6)))  # fmt: skip
    message_pipeline.split_message_bodies()
    killed = 0
    for _ in range(15):
        expire_update_leases()
        claimed = queues.claim_updates(queues.WebhookQueue.MESSAGES, 50)
        for update in claimed:
            if update.event.message.text == "2":
                killed += 1
                break
            message_pipeline.apply_contact_update(update)
    assert sorted(list_texts()) == ["0", "1", "3", "4", "5"]
    assert killed == queues.MAX_ATTEMPTS
    (quarantined,) = list_all(WebhookUpdate)
    assert (quarantined.state, quarantined.reason) == (
        "quarantined",
        "its worker ended each time it was tried",
    )


def test_a_body_whose_updates_cannot_be_stored_does_not_stop_the_queue(
    any_app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = splitter._build_row
    monkeypatch.setattr(
        splitter,
        "_build_row",
        lambda body_id, update: row(body_id, update) | ({"queue": None} if body_id == 1 else {}),
    )
    store_webhook(make_message_value("ruim"))
    store_webhook(make_message_value("boa"))
    drain_queues()
    assert list_texts() == ["boa"]
    assert [body.state for body in list_all(WebhookBody)] == ["quarantined", "done"]


def test_a_status_that_arrives_before_the_response_of_its_send_is_applied(any_app: Flask) -> None:
    from chatbot.campaigns.sending.send_table import SEND_TABLE

    named, unnamed = make_recipients(make_campaign(), 2, state="sending", attempt=1)
    store_webhook(
        make_status_value("w1", "delivered", biz_opaque_callback_data=own_callback(named))
    )
    store_webhook(make_status_value("w2", "delivered"))
    drain_queues()
    assert [row.state for row in list_all(Recipient)] == ["delivered", "sending"]
    assert [waiting.wamid for waiting in list_all(WaitingStatus)] == ["w2"]
    with db.engine.begin() as connection:
        answers = [
            SendResult(row_id=named, attempt=1, kind=ResultKind.ACCEPTED, wamid="w1"),
            SendResult(row_id=unnamed, attempt=1, kind=ResultKind.ACCEPTED, wamid="w2"),
        ]
        record_results(connection, SEND_TABLE, answers, 60)
    drain_queues()
    assert [row.state for row in list_all(Recipient)] == ["delivered", "delivered"]
    assert list_all(WaitingStatus) == []


def test_statuses_of_another_program_wait_without_effect(any_app: Flask) -> None:
    (row_id,) = make_recipients(make_campaign(), 1, state="sending", attempt=1)
    store_webhook(make_status_value("theirs", "failed", biz_opaque_callback_data=f"order-{row_id}"))
    drain_queues()
    assert list_all(Recipient)[0].state == "sending"
    assert len(list_all(WaitingStatus)) == 1


def test_empty_queues_advance_the_watermark(any_app: Flask) -> None:
    make_channel()
    store_webhook(make_message_value())
    drain_statuses()
    assert list_all(ReceiptWatermark) == [], "a body of the other queue may hold statuses"
    drain_queues()
    (watermark,) = list_all(ReceiptWatermark)
    assert abs((clock.now() - watermark.drained_at).total_seconds()) < 5


def test_an_unknown_number_is_quarantined_shown_and_can_be_replayed(any_app: Flask) -> None:
    value = make_message_value("para outro")
    value["metadata"]["phone_number_id"] = "999"
    store_webhook(value)
    drain_queues()
    assert list_texts() == []
    runner = any_app.test_cli_runner()
    shown = runner.invoke(args=["webhooks", "list", "--parked"])
    assert "phone_number_id 999 is not one of ours" in shown.output
    number = list_all(WebhookBody)[0].id
    assert "para outro" in runner.invoke(args=["webhooks", "show", str(number)]).output
    channel = make_channel()
    db.session.execute(sa.update(type(channel)).values(phone_number_id="999"))
    db.session.commit()
    assert runner.invoke(args=["webhooks", "replay", str(number)]).exit_code == 0
    drain_queues()
    assert list_texts() == ["para outro"]
    assert runner.invoke(args=["webhooks", "list", "--parked"]).output == ""
    missing = runner.invoke(args=["webhooks", "replay", "77777"])
    assert (missing.exit_code, "no webhook body 77777" in missing.output) == (1, True)


def test_replaying_an_applied_body_has_no_effect(any_app: Flask) -> None:
    store_webhook(make_message_value("uma vez"))
    drain_queues()
    any_app.test_cli_runner().invoke(args=["webhooks", "replay", "1"])
    drain_queues()
    assert list_texts() == ["uma vez"]


def test_a_thousand_statuses_take_a_few_statements(any_app: Flask) -> None:
    ids = make_recipients(make_campaign(), 1000, state="accepted", attempt=1)
    for start in range(0, 1000, 100):
        store_webhook(*(make_status_value(f"w{i}", recipient_id=f"5521{i:09d}", recipient_user_id=f"BR.{i}",
                               biz_opaque_callback_data=own_callback(i))
                  for i in ids[start : start + 100]))  # fmt: skip
    with count_sql(db.engine) as sql:
        drain_statuses()
    assert [row.state for row in list_all(Recipient)] == ["delivered"] * 1000
    assert sql.number <= 20, sql.statements
