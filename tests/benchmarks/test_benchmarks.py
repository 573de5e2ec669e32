"""The benchmarks themselves: that they can be started, and that what they measure on is what they say."""

from __future__ import annotations

from collections import Counter
from importlib import import_module
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask

from benchmarks import __main__ as runner
from benchmarks import dataset, webhooks
from chatbot.accounts.signed_in import find_signed_in
from chatbot.campaigns.queries import figures
from chatbot.contacts.models import Contact
from chatbot.contacts.service import Sender, resolve_contact
from chatbot.conversations.models import Conversation, ConversationState, Direction, Message
from chatbot.conversations.queries import Inbox, count_inbox, list_conversations
from chatbot.conversations.threads import read_thread
from chatbot.core import clock
from chatbot.core.db import db
from chatbot.delivery.receipts import Receipt
from chatbot.webhooks.events import StatusReceived
from chatbot.webhooks.payloads import split

# The gevent form needs packages that Prosa doesn't; the counted web starts an application at import.
NOT_ALONE = {"gevent_form", "counted_web", "bare_door", "one_by_one"}
MODULES = sorted(
    path.stem
    for path in Path(runner.__file__).parent.glob("*.py")
    if path.stem not in NOT_ALONE and not path.stem.startswith("__")
)


@pytest.mark.parametrize("module", MODULES)
def test_each_benchmark_can_be_imported(module: str) -> None:
    assert import_module(f"benchmarks.{module}").__doc__


def test_each_table_of_make_bench_is_a_benchmark_of_its_own() -> None:
    assert {table[0] for table in runner.TABLES} <= set(MODULES)


def test_a_small_data_set_is_whole_and_the_product_finds_its_way_in_it(any_app: Flask) -> None:
    size = dataset.Size(300)
    dataset.make(size)
    dataset.tidy()
    assert dataset.is_made(size)
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
    assert latest[newest.id] == size.messages, "the list begins with who wrote last"
    thread = read_thread(newest.id).page.rows
    assert [bubble.direction for bubble in thread[-2:]] == [Direction.OUTBOUND, Direction.INBOUND]
    assert len(thread) == dataset.ROUNDS
    assert count_inbox(Inbox.WAITING, 1) == size.contacts * 2 // 100
    assert figures(1)["planned"] == size.contacts
    assert find_signed_in(f"{dataset.STAFF}:0", "no session") is not None
    states = Counter(db.session.scalars(sa.select(Conversation.state)))
    assert states[ConversationState.ASSIGNED] == size.contacts * 3 // 100


def test_whoever_writes_in_a_benchmark_is_a_contact_of_the_data_set(app: Flask) -> None:
    dataset.make(dataset.Size(100))
    writer = resolve_contact(Sender(wa_id="5511980000007", name="?"), clock.now())
    assert writer.id == 7
    db.session.rollback()
    assert db.session.scalar(sa.select(sa.func.count()).select_from(Contact)) == 100


@pytest.mark.parametrize("size", [1, 100])
def test_the_statuses_of_a_benchmark_are_three_of_each_row_in_order(size: int) -> None:
    bodies = webhooks.bodies_of(range(1, 301), size)
    events = [event for raw in bodies for event in split(raw, clock.now()).events]
    receipts: dict[int, list[Receipt]] = {}
    for event in events:
        assert isinstance(event, StatusReceived)
        assert event.receipt.callback
        receipts.setdefault(event.receipt.callback.row_id, []).append(event.receipt)
    assert len(bodies) == 900 // size
    assert len(receipts) == 300
    assert {tuple(r.state for r in of) for of in receipts.values()} == {
        ("sent", "delivered", "read")
    }
