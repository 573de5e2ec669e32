"""Statuses are applied while their bodies are split; one that breaks a batch is isolated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from chatbot.campaigns.models import Recipient
from chatbot.core.db import db
from chatbot.webhooks import bodies, queues, status_pipeline, tasks
from chatbot.webhooks.models import WaitingStatus, WebhookBody, WebhookQueue, WebhookUpdate
from chatbot.webhooks.tasks import drain_statuses
from tests.support.call_counts import count_sql
from tests.support.factories import make_campaign, make_recipients, make_status_value
from tests.support.webhooks import (
    drain_queues,
    expire_update_leases,
    list_all,
    own_callback,
    store_webhook,
)

FAILING_WAMID = "wamid.veneno"


def make_status(row_id: int, wamid: str = "", step: str = "delivered") -> dict[str, Any]:
    named = wamid or f"wamid.{row_id}"
    return make_status_value(named, step, biz_opaque_callback_data=own_callback(row_id))


def make_accepted(count: int) -> list[int]:
    return make_recipients(make_campaign(), count, state="accepted", attempt=1)


def list_states() -> list[str]:
    return [row.state for row in list_all(Recipient)]


@pytest.fixture
def failing_status(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make applying a batch with FAILING_WAMID fail, as by a bug of ours."""
    apply_receipts = status_pipeline.apply_receipts

    def picky(connection: sa.Connection, send_tables: Any, receipts: Sequence[Any]) -> Any:
        if any(receipt.wamid == FAILING_WAMID for receipt in receipts):
            raise RuntimeError("a bug")
        return apply_receipts(connection, send_tables, receipts)

    monkeypatch.setattr(status_pipeline, "apply_receipts", picky)


def test_no_update_is_stored_for_a_status_that_can_be_applied(any_app: Flask) -> None:
    ids = make_accepted(200)
    for row_id in ids:
        store_webhook(make_status(row_id))
    with count_sql(db.engine) as sql:
        drain_statuses()
    assert list_states() == ["delivered"] * 200
    assert not any("INTO webhook_updates" in text for text in sql.statements)
    assert sql.number <= 12, sql.statements


@pytest.mark.usefixtures("failing_status")
def test_one_status_that_fails_is_quarantined_and_all_others_are_applied(any_app: Flask) -> None:
    ids = make_accepted(6)
    store_webhook(*(make_status(row_id) for row_id in ids[:2]), make_status(ids[2], FAILING_WAMID))
    store_webhook(*(make_status(row_id) for row_id in ids[3:]))
    for _ in range(queues.MAX_ATTEMPTS):
        drain_queues(1)
        expire_update_leases()
    assert list_states() == ["delivered"] * 2 + ["accepted"] + ["delivered"] * 3
    (quarantined,) = list_all(WebhookUpdate)
    assert (quarantined.state, "a bug" in quarantined.reason) == ("quarantined", True)
    assert [body.state for body in list_all(WebhookBody)] == ["done", "done"]


def test_a_failed_status_is_applied_by_a_replay_once_the_bug_is_fixed(
    any_app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    (row_id,) = make_accepted(1)
    with monkeypatch.context() as patch:
        patch.setattr(status_pipeline, "apply_status_events", _fail)
        patch.setattr(tasks, "apply_statuses", _fail)
        store_webhook(make_status(row_id))
        for _ in range(queues.MAX_ATTEMPTS):
            drain_queues(1)
            expire_update_leases()
    (quarantined,) = list_all(WebhookUpdate)
    assert (list_states(), quarantined.state) == (["accepted"], "quarantined")
    any_app.test_cli_runner().invoke(args=["webhooks", "replay", str(quarantined.body_id)])
    drain_queues()
    assert (list_states(), list_all(WebhookUpdate)) == (["delivered"], [])


def _fail(*_: Any) -> None:
    raise RuntimeError("a bug")


def test_a_batch_that_ends_its_worker_is_tried_again_body_by_body(
    any_app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A killed worker leaves only the count of its attempt."""
    ids = make_accepted(5)
    for row_id in ids:
        store_webhook(make_status(row_id, FAILING_WAMID if row_id == ids[2] else ""))
    ended = _count_killed_workers(monkeypatch)
    assert ended <= 2 * queues.MAX_ATTEMPTS
    assert list_states() == ["delivered"] * 2 + ["accepted"] + ["delivered"] * 2
    (quarantined,) = list_all(WebhookUpdate)
    assert quarantined.reason == "its worker ended each time it was tried"


def test_a_deadly_status_at_the_end_kills_no_more_workers_than_one_at_the_start(
    any_app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = make_accepted(60)
    for row_id in ids:
        store_webhook(make_status(row_id, FAILING_WAMID if row_id == ids[50] else ""))
    assert _count_killed_workers(monkeypatch) <= 2 * queues.MAX_ATTEMPTS
    assert list_states() == ["delivered"] * 50 + ["accepted"] + ["delivered"] * 9


def test_a_database_that_fails_counts_against_no_body(
    any_app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    (row_id,) = make_accepted(1)
    store_webhook(make_status(row_id))
    with monkeypatch.context() as patch:
        patch.setattr("chatbot.webhooks.splitter.mark_split", _full_disk)
        for _ in range(queues.MAX_ATTEMPTS + 2):
            with pytest.raises(sa.exc.OperationalError):
                drain_statuses()
            db.session.rollback()
    assert [(body.state, body.attempts) for body in list_all(WebhookBody)] == [("new", 0)]
    drain_queues()
    assert list_states() == ["delivered"]


def _full_disk(*_: Any) -> None:
    raise sa.exc.OperationalError("UPDATE", {}, Exception("database or disk is full"))


class WorkerKilled(BaseException):
    """Stands for the end of a worker: none of our code catches it."""


def _count_killed_workers(monkeypatch: pytest.MonkeyPatch) -> int:
    """Run workers one after the other, and return how many FAILING_WAMID has killed."""
    apply_receipts, ended = status_pipeline.apply_receipts, 0

    def deadly(connection: sa.Connection, send_tables: Any, receipts: Sequence[Any]) -> Any:
        if any(receipt.wamid == FAILING_WAMID for receipt in receipts):
            raise WorkerKilled
        return apply_receipts(connection, send_tables, receipts)

    monkeypatch.setattr(status_pipeline, "apply_receipts", deadly)
    while queues.has_work(WebhookQueue.STATUSES):
        try:
            drain_queues(1)
        except WorkerKilled:
            ended += 1
        db.session.rollback()
        expire_update_leases()
    return ended


def test_a_body_that_kills_its_worker_before_it_is_split_is_quarantined_and_can_be_replayed(
    any_app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = make_accepted(2)
    store_webhook(make_status(first))
    store_webhook(make_status(second))
    with monkeypatch.context() as patch:
        patch.setattr("chatbot.webhooks.splitter.parse_body", _kill_on(b"wamid.1"))
        for _ in range(queues.MAX_ATTEMPTS + 2):
            try:
                drain_queues(1)
            except WorkerKilled:
                db.session.rollback()
            expire_update_leases()
    assert list_states() == ["accepted", "delivered"]
    found = list_all(WebhookBody)
    assert [body.state for body in found] == ["quarantined", "done"]
    assert found[0].reason == "its worker ended each time it was tried"
    any_app.test_cli_runner().invoke(args=["webhooks", "replay", str(found[0].id)])
    drain_queues()
    assert list_states() == ["delivered", "delivered"]


def _kill_on(wamid: bytes) -> Any:
    from chatbot.webhooks.parsing.payloads import parse_body

    def deadly(raw: bytes, *rest: Any) -> Any:
        if wamid + b'"' in raw:
            raise WorkerKilled
        return parse_body(raw, *rest)

    return deadly


def test_a_status_before_its_message_waits_even_if_received_twice(
    any_app: Flask,
) -> None:
    store_webhook(make_status_value("wamid.early", "sent"))
    store_webhook(make_status_value("wamid.early", "sent"))
    drain_queues()
    assert {waiting.wamid for waiting in list_all(WaitingStatus)} == {"wamid.early"}
    assert list_all(WebhookUpdate) == []


def test_a_body_that_another_worker_holds_is_left_to_it(any_app: Flask) -> None:
    (row_id,) = make_accepted(1)
    store_webhook(make_status(row_id))
    assert bodies.claim_body(1) == 1
    for _ in range(queues.MAX_ATTEMPTS + 2):
        drain_statuses()
    assert [(body.state, body.attempts) for body in list_all(WebhookBody)] == [("new", 1)]
    expire_update_leases()
    drain_queues()
    assert [(body.state, body.reason) for body in list_all(WebhookBody)] == [("done", None)]
    assert list_states() == ["delivered"]
