"""Delete many rows in short transactions, for housekeeping tasks."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from chatbot.core.db.base import db

BATCH_SIZE = 5000  # rows per transaction: none holds its locks for long


def delete_in_batches(model: type, condition: sa.ColumnElement[bool]) -> None:
    """Delete the rows of `model` that match, `BATCH_SIZE` per transaction."""
    key: sa.Column[Any] = sa.inspect(model).primary_key[0]
    while True:
        batch = sa.select(key).where(condition).limit(BATCH_SIZE)
        with db.engine.begin() as connection:
            deleted = connection.execute(sa.delete(model).where(key.in_(batch))).rowcount
        if deleted < BATCH_SIZE:
            return
