"""A database that is busy: pages are read, and what would write is refused for now."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from contextvars import Context

import pytest
import sqlalchemy as sa
from flask import Flask

from chatbot.core.db import db, is_busy, transactions
from tests.support.clients import make_client, make_signed_in_client
from tests.support.factories import make_message_value, make_webhook_body, signature_headers
from tests.support.panel import PASSWORD


@pytest.fixture
def held_lock(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Iterator[sqlite3.Connection]:
    """Return a connection, as of another process, that can hold the write lock."""
    monkeypatch.setattr(transactions, "WRITE_WAIT_S", 0.05)
    monkeypatch.setattr(transactions, "WRITE_WAIT_OF_READERS_S", 0.05)
    monkeypatch.setitem(app.config, "PROPAGATE_EXCEPTIONS", False)  # as in production
    path = db.engine.url.database or ""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


def test_readers_pass_a_held_write_lock_and_writers_are_told_when_to_come_back(
    app: Flask, held_lock: sqlite3.Connection
) -> None:
    client, user = make_signed_in_client(app)
    stranger, form = make_client(app), {"email": user.email, "password": PASSWORD}
    assert client.get("/").status_code == 200  # its session is as it stays
    db.session.rollback()
    held_lock.execute("BEGIN IMMEDIATE")
    assert client.get("/").status_code == 200
    assert client.get("/health/live").status_code == 200
    body = make_webhook_body(make_message_value())
    webhook = stranger.post("/webhooks/whatsapp", data=body, headers=signature_headers(body))
    sign_in, shown = stranger.post("/login", data=form), stranger.get("/login")
    for refused in (webhook, sign_in, shown):
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "5")
    assert "O banco de dados está ocupado" in sign_in.text
    held_lock.execute("ROLLBACK")
    assert stranger.post("/login", data=form).status_code == 303


def test_only_refusals_for_now_count_as_busy() -> None:
    def make_error(state: str) -> sa.exc.OperationalError:
        cause = Exception("refused")
        cause.sqlstate = state  # type: ignore[attr-defined]
        return sa.exc.OperationalError("SELECT", {}, cause)

    assert is_busy(make_error("57014"))
    assert is_busy(sa.exc.TimeoutError())
    assert not is_busy(make_error("08006"))
    assert not is_busy(ValueError())


def test_time_spent_waiting_for_a_thread_counts_too() -> None:
    def get_wait_s(waited_s: float) -> float | None:
        transactions.mark_request_writable(waited_s)
        return transactions.get_write_wait_s()

    context = Context()
    assert context.run(get_wait_s, 0.0) == transactions.WRITE_WAIT_S
    assert context.run(get_wait_s, 3.0) == transactions.WRITE_WAIT_S - 3.0
    assert context.run(get_wait_s, 60.0) == transactions.MIN_WRITE_WAIT_S
