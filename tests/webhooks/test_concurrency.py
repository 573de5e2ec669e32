"""Concurrent workers apply each update once, and the messages of each person in order."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from chatbot.bot.tasks import run_turns
from chatbot.campaigns.models import Recipient
from chatbot.contacts.models import Contact
from chatbot.conversations.models import Conversation, Direction, Message
from chatbot.core.db import db
from chatbot.webhooks.models import WebhookBody, WebhookCount, WebhookQueue, WebhookUpdate
from chatbot.webhooks.queues import has_work
from chatbot.webhooks.tasks import drain_messages, drain_statuses
from tests.support.factories import (
    make_campaign,
    make_channel,
    make_message_value,
    make_recipients,
    make_status_value,
    make_webhook_body,
    signature_headers,
)
from tests.support.scale import scaled
from tests.support.webhooks import list_all, own_callback

PATIENCE_S = 300
PEOPLE = scaled(10, 50)
MESSAGES_EACH = scaled(20, 40)
STATUSES = scaled(160, 800)
MESSAGES = STATUSES // 4
pytestmark = pytest.mark.timeout(600)


def run_together(app: Flask, works: list[Callable[[], None]]) -> None:
    """Run functions at once, each in a thread with its own app context, and raise the first error."""
    barrier, errors = threading.Barrier(len(works)), []

    def begin(work: Callable[[], None]) -> None:
        with app.app_context():
            barrier.wait()
            try:
                work()
            except BaseException as error:
                errors.append(error)
            finally:
                db.session.rollback()

    threads = [threading.Thread(target=begin, args=[work]) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def drain_until_empty(*functions: Callable[[], Any]) -> None:
    """Drain like a worker's loop, which survives errors of a busy database."""
    until = time.monotonic() + PATIENCE_S
    while has_work(WebhookQueue.MESSAGES) or has_work(WebhookQueue.STATUSES):
        assert time.monotonic() < until, "the queues do not become empty"
        is_idle = True
        for function in functions:
            with suppress(sa.exc.OperationalError):
                is_idle = function() is None and is_idle
            db.session.rollback()
            db.session.expunge_all()
        time.sleep(0.05 if is_idle else 0)


def test_updates_posted_by_eight_clients_three_times_are_applied_once(
    any_app: Flask,
) -> None:
    make_channel()
    ids = make_recipients(make_campaign(), STATUSES, state="accepted", attempt=1)
    people = [f"55119{80000000 + n}" for n in range(20)]
    values = [
        make_status_value(f"s{i}", "delivered", biz_opaque_callback_data=own_callback(i))
        for i in ids
    ]
    values += [
        make_message_value(f"n{n}", wamid=f"m{n}", sender=people[n % 20]) for n in range(MESSAGES)
    ]
    raw = make_webhook_body(*values)

    def post() -> None:
        for _ in range(3):
            client = any_app.test_client()
            assert (
                client.post(
                    "/webhooks/whatsapp", data=raw, headers=signature_headers(raw)
                ).status_code
                == 200
            )

    run_together(any_app, [post] * 8)
    assert len(list_all(WebhookBody)) == 24
    run_together(any_app, [lambda: drain_until_empty(drain_messages, drain_statuses)] * 2)
    assert len(list_all(Message)) == MESSAGES
    assert len(list_all(Contact)) == len(people) + len(ids)
    assert sum(c.unread_count for c in list_all(Conversation)) == MESSAGES
    assert Counter(row.state for row in list_all(Recipient)) == {"delivered": STATUSES}
    assert list_all(WebhookUpdate) == []
    counted = {count.kind: count.number for count in list_all(WebhookCount)}
    assert counted == {"message:text": MESSAGES * 24, "status:delivered": STATUSES * 24}


def test_messages_of_many_people_over_4_workers_are_in_order_with_one_answer_each(
    richest_app: Flask,
) -> None:
    make_channel()
    begun = time.time() - 3600
    people = [f"55219{70000000 + n}" for n in range(PEOPLE)]
    values = [
        make_message_value(f"{k}", wamid=f"{who}-{k}", sender=who, at=begun + k)
        for who in people
        for k in range(MESSAGES_EACH)
    ]
    random.Random(7).shuffle(values)
    client = richest_app.test_client()
    for start in range(0, len(values), 25):
        raw = make_webhook_body(*values[start : start + 25])
        assert (
            client.post("/webhooks/whatsapp", data=raw, headers=signature_headers(raw)).status_code
            == 200
        )
    run_together(richest_app, [lambda: drain_until_empty(drain_messages, run_turns)] * 4)
    _answer_all()
    for conversation in list_all(Conversation):
        thread = [m for m in list_all(Message) if m.conversation_id == conversation.id]
        said = [m for m in thread if m.direction == Direction.INBOUND]
        assert [int(m.text) for m in sorted(said, key=lambda m: m.id)] == list(range(MESSAGES_EACH))
        answers = [m for m in thread if m.direction == Direction.OUTBOUND]
        assert len(answers) == 1, f"{len(answers)} answers to one burst"
    assert len(list_all(Conversation)) == PEOPLE


def _answer_all() -> None:
    until = time.monotonic() + PATIENCE_S
    waiting = sa.select(sa.func.count()).where(Conversation.turn_due_at.is_not(None))
    while db.session.scalar(waiting):
        assert time.monotonic() < until
        db.session.rollback()
        run_turns()
        db.session.rollback()
        time.sleep(0.1)
    db.session.rollback()
