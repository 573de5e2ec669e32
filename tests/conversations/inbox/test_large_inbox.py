"""Inbox with 100,000 conversations: a constant number of statements, each served by an index."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from flask import Flask

from chatbot.accounts.models import User
from chatbot.channels.service import get_default_channel
from chatbot.conversations.inbox import queries, threads
from chatbot.conversations.inbox.queries import Inbox
from chatbot.conversations.models import Conversation, Message
from chatbot.core.cache.store import start_cache_epoch
from chatbot.core.db import db
from tests.support.panel import (
    count_statements,
    explain_query,
    make_contact,
    make_conversation,
    sign_in,
)

MANY = 100_000

CONTACTS = """
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :many)
INSERT INTO contacts (name, search_name, wa_id, phone, attributes, created_at)
SELECT 'Pessoa ' || i, 'pessoa ' || i, '55119' || (80000000 + i), '+55119' || (80000000 + i), '{}',
       '2026-11-01 00:00:00.000000' FROM n
"""
# Every tenth waits, every fiftieth is the agent's; three each have the same time.
CONVERSATIONS = """
INSERT INTO conversations (channel_id, contact_id, state, assigned_user_id, slots, version,
  turn_attempts, last_message_at, last_message_text, last_inbound_text, waiting_since,
  unread_count, created_at)
SELECT :channel, id,
  CASE WHEN id % 50 = 0 THEN 'assigned' WHEN id % 10 = 1 THEN 'waiting' ELSE 'bot' END,
  CASE WHEN id % 50 = 0 THEN :agent END, '{}', 0, 0,
  strftime('%Y-%m-%d %H:%M:%f', '2026-11-01', '+' || (id / 3) || ' seconds') || '000',
  'oi', 'oi',
  CASE WHEN id % 50 <> 0 AND id % 10 = 1 THEN '2026-11-01 00:00:' || (10 + id % 40) || '.000000' END,
  id % 3, '2026-11-01 00:00:00.000000' FROM contacts
"""


def fill_inbox(agent_id: int, many: int = MANY) -> None:
    channel = get_default_channel()
    db.session.execute(sa.text(CONTACTS), {"many": many})
    db.session.execute(sa.text(CONVERSATIONS), {"channel": channel.id, "agent": agent_id})
    db.session.commit()


def new_cache_epoch(app: Flask) -> None:
    """Empty the cache, so that all statements are counted."""
    start_cache_epoch(app.extensions["prosa_redis"].client)


def test_the_number_of_statements_is_constant(app: Flask) -> None:
    client = sign_in(app)
    make_conversation(make_contact("Sozinha", "5511912345678"))
    client.get("/conversations/")  # the first page after the sign-in writes the session again
    new_cache_epoch(app)
    with count_statements() as with_one:
        assert client.get("/conversations/").status_code == 200
    agent_id = db.session.scalars(sa.select(User.id)).one()
    db.session.execute(sa.delete(Conversation))
    fill_inbox(agent_id)
    for inbox in Inbox:
        new_cache_epoch(app)
        with count_statements() as with_many:
            page = client.get(f"/conversations/?inbox={inbox}")
        assert page.status_code == 200
        assert len(with_many) == len(with_one), "\n".join(with_many)


@pytest.mark.parametrize("after", [None, "2026-11-01T05:00:00+00:00~500"])
@pytest.mark.parametrize(
    ("inbox", "index"),
    [
        (Inbox.ALL, "ix_conversations_recent"),
        (Inbox.WAITING, "ix_conversations_waiting"),
        (Inbox.BOT, "ix_conversations_state_recent"),
        (Inbox.CLOSED, "ix_conversations_state_recent"),
        (Inbox.MINE, "ix_conversations_assigned_recent"),
    ],
)
def test_an_index_serves_each_list_in_its_order(
    app: Flask, inbox: Inbox, index: str, after: str | None
) -> None:
    plan = explain_query(queries.build_list_query(inbox, 1, "", after))
    assert f"USING INDEX {index}" in plan, plan
    assert "TEMP B-TREE" not in plan, plan
    if after is not None:
        start = "(waiting_since>?)" if inbox is Inbox.WAITING else "last_message_at<"
        assert start in plan, plan  # it begins at the cursor


def test_the_thread_is_served_by_its_index(app: Flask) -> None:
    query = threads._select_messages(1).order_by(Message.occurred_at.desc(), Message.id.desc())
    plan = explain_query(query.limit(51))
    assert "ix_messages_thread" in plan, plan
    assert "TEMP B-TREE" not in plan, plan
