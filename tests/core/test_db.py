from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from flask import Flask

from chatbot.conversations.models import Message
from chatbot.core.db import Base, UtcDateTime, db, db_now, is_postgresql, timestamp_text
from chatbot.core.db.bulk_sql import json_rows
from chatbot.delivery.models import MessageState


def test_json_rows_give_each_value_its_type_back(any_app: Flask) -> None:
    timestamp = datetime(2026, 11, 23, 12, 30, 1, 250_000, tzinfo=UTC)
    with db.engine.begin() as connection:
        v = json_rows(
            connection,
            [(1, "ção 'x'", timestamp_text(timestamp), None)],
            number=sa.BigInteger(),
            text=sa.String(20),
            at=UtcDateTime(),
            empty=sa.Integer(),
        )
        row = connection.execute(sa.select(v)).one()
    assert tuple(row) == (1, "ção 'x'", timestamp, None)


def test_the_databases_clock_moves_by_seconds_and_agrees_with_ours(any_app: Flask) -> None:
    with db.engine.begin() as connection:
        now, later = connection.execute(
            sa.select(sa.type_coerce(db_now(), UtcDateTime), db_now(90.5))
        ).one()
    assert timedelta(seconds=90) < later - now < timedelta(seconds=91)
    assert abs(datetime.now(UTC) - now) < timedelta(seconds=5)


def test_a_statement_that_is_run_often_is_still_planned_for_its_values(richest_app: Flask) -> None:
    """A generic plan could not use the partial index of queued rows, on which the claims depend."""
    if not is_postgresql(db.engine):
        pytest.skip("no PostgreSQL here")
    state = sa.bindparam("state", type_=sa.String)
    query = sa.select(sa.func.min(Message.due_at)).where(Message.state == state)
    plans = sa.text(
        "SELECT custom_plans, generic_plans FROM pg_prepared_statements WHERE statement LIKE :some"
    )
    with db.engine.begin() as connection:
        for _ in range(
            30
        ):  # psycopg prepares after 5 runs, PostgreSQL may plan generically 5 later
            connection.execute(query, {"state": "queued"})
        custom, generic = connection.execute(plans, {"some": "SELECT min(messages.due_at)%"}).one()
    assert (custom > 20, generic) == (True, 0)


@pytest.mark.parametrize(
    ("condition", "written"),
    [
        (Message.state == MessageState.QUEUED, "messages.state = 'queued'"),
        (
            Message.state.in_((MessageState.SENDING, MessageState.UNKNOWN)),
            "IN ('sending', 'unknown')",
        ),
        (Message.state.not_in([MessageState.READ]), "NOT IN ('read')"),
        (Message.state == "queued", "messages.state = :state_1"),
    ],
)
def test_an_enum_member_is_a_literal_and_other_text_a_parameter(
    condition: sa.ColumnElement[bool], written: str
) -> None:
    assert written in str(condition.compile())


def test_queued_rows_are_found_by_their_partial_index(app: Flask) -> None:
    query = sa.select(sa.func.min(Message.due_at)).where(Message.state == MessageState.QUEUED)
    with db.engine.begin() as connection:
        compiled = str(query.compile(connection))
        assert "?" not in compiled, "SQLite plans anew whenever a parameter might fit an index"
        plan = connection.execute(sa.text(f"EXPLAIN QUERY PLAN {compiled}")).all()
    assert "ix_messages_due" in plan[0].detail


def test_a_partial_index_has_one_condition_on_both_databases(app: Flask) -> None:
    indexes = [index for table in Base.metadata.sorted_tables for index in table.indexes]
    conditions = [
        (
            index.name,
            *(str(index.dialect_kwargs.get(f"{name}_where")) for name in ("sqlite", "postgresql")),
        )
        for index in indexes
    ]
    assert [name for name, sqlite, postgresql in conditions if sqlite != postgresql] == []
    assert sum(sqlite != "None" for _name, sqlite, _postgresql in conditions) >= 15
