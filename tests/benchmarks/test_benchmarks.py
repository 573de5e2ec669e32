"""Benchmarks: their modules can be imported, and their data sets are as described."""

from __future__ import annotations

from collections import Counter
from importlib import import_module
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask

from benchmarks import __main__ as runner
from benchmarks import dataset, webhooks
from chatbot.accounts.session_user import find_session_user
from chatbot.campaigns.queries import count_by_state
from chatbot.contacts.models import Contact
from chatbot.contacts.service import SenderIdentity, resolve_contact
from chatbot.conversations.inbox.queries import Inbox, count_inbox, list_conversations
from chatbot.conversations.inbox.threads import get_thread
from chatbot.conversations.models import Conversation, ConversationState, Direction, Message
from chatbot.core import clock
from chatbot.core.db import db
from chatbot.delivery.receipts import Receipt
from chatbot.webhooks.events import StatusReceived
from chatbot.webhooks.parsing.payloads import parse_body

# These need packages that Prosa does not use, or start an application at import.
NOT_IMPORTABLE = {"gevent_worker", "web_with_sql_counts", "bare_webhook_route", "job_per_message"}
MODULES = sorted(
    path.stem
    for path in Path(runner.__file__).parent.glob("*.py")
    if path.stem not in NOT_IMPORTABLE and not path.stem.startswith("__")
)


@pytest.mark.parametrize("module", MODULES)
def test_each_benchmark_can_be_imported(module: str) -> None:
    assert import_module(f"benchmarks.{module}").__doc__


def test_each_table_of_make_bench_is_a_benchmark() -> None:
    assert {table[0] for table in runner.TABLES} <= set(MODULES)


def test_a_small_data_set_is_complete_and_usable(any_app: Flask) -> None:
    size = dataset.DatasetSize(300)
    dataset.make_dataset(size)
    dataset.vacuum()
    assert dataset.is_dataset_current(size)
    assert db.session.scalar(sa.select(sa.func.count()).select_from(Message)) == size.messages
    latest = dict(
        db.session.execute(
            sa.select(Message.conversation_id, sa.func.max(Message.id)).group_by(
                Message.conversation_id
            )
        ).all()
    )
    assert len(latest) == size.contacts
    newest = list_conversations(Inbox.ALL, 1).rows[0]
    assert latest[newest.id] == size.messages, "the list does not begin with the latest message"
    thread = get_thread(newest.id).page.rows
    assert [bubble.direction for bubble in thread[-2:]] == [Direction.OUTBOUND, Direction.INBOUND]
    assert len(thread) == dataset.ROUNDS
    assert count_inbox(Inbox.WAITING, 1) == size.contacts * 2 // 100
    assert count_by_state(1)["planned"] == size.contacts
    assert find_session_user(f"{dataset.STAFF}:0", "no session") is not None
    states = Counter(db.session.scalars(sa.select(Conversation.state)))
    assert states[ConversationState.ASSIGNED] == size.contacts * 3 // 100


def test_a_sender_in_a_benchmark_is_a_contact_of_the_data_set(app: Flask) -> None:
    dataset.make_dataset(dataset.DatasetSize(100))
    writer = resolve_contact(SenderIdentity(wa_id="5511980000007", name="?"), clock.now())
    assert writer.id == 7
    db.session.rollback()
    assert db.session.scalar(sa.select(sa.func.count()).select_from(Contact)) == 100


@pytest.mark.parametrize("size", [1, 100])
def test_a_benchmark_has_three_statuses_of_each_row_in_order(size: int) -> None:
    bodies = webhooks.bodies_of(range(1, 301), size)
    events = [event for raw in bodies for event in parse_body(raw, clock.now()).events]
    receipts: dict[int, list[Receipt]] = {}
    for event in events:
        assert isinstance(event, StatusReceived)
        assert event.receipt.callback
        receipts.setdefault(event.receipt.callback.row_id, []).append(event.receipt)
    assert len(bodies) == 900 // size
    assert len(receipts) == 300
    assert {tuple(receipt.state for receipt in row) for row in receipts.values()} == {
        ("sent", "delivered", "read")
    }
