from __future__ import annotations

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from flask import Flask

from chatbot.core.db import UtcDateTime, db, db_now, json_rows, moment_text


def test_json_rows_give_each_value_its_type_back(any_app: Flask) -> None:
    moment = datetime(2026, 11, 23, 12, 30, 1, 250_000, tzinfo=UTC)
    with db.engine.begin() as connection:
        v = json_rows(
            connection,
            [(1, "ção 'x'", moment_text(moment), None)],
            number=sa.BigInteger(),
            text=sa.String(20),
            at=UtcDateTime(),
            empty=sa.Integer(),
        )
        row = connection.execute(sa.select(v)).one()
    assert tuple(row) == (1, "ção 'x'", moment, None)


def test_the_databases_clock_moves_by_seconds_and_agrees_with_ours(any_app: Flask) -> None:
    with db.engine.begin() as connection:
        now, later = connection.execute(
            sa.select(sa.type_coerce(db_now(), UtcDateTime), db_now(90.5))
        ).one()
    assert timedelta(seconds=90) < later - now < timedelta(seconds=91)
    assert abs(datetime.now(UTC) - now) < timedelta(seconds=5)
