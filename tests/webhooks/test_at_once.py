"""Statuses are applied as their bodies are split; what spoils that is found, and harms nobody else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from chatbot.campaigns.models import Recipient
from chatbot.core.db import db
from chatbot.webhooks import jobs, lanes, pipeline
from chatbot.webhooks.jobs import drain_statuses
from chatbot.webhooks.models import Lane, WaitingStatus, WebhookBody, WebhookUpdate
from tests.support.making import make_campaign, make_recipients, status_value
from tests.support.webhooks import all_of, drain, receive, release_all
from tests.support.wire import counted_sql

POISON = "wamid.veneno"


def status(row_id: int, wamid: str = "", step: str = "delivered") -> dict[str, Any]:
    named = wamid or f"wamid.{row_id}"
    return status_value(named, step, biz_opaque_callback_data=f"r:{row_id}:1")


def accepted(count: int) -> list[int]:
    return make_recipients(make_campaign(), count, state="accepted", attempt=1)


def states() -> list[str]:
    return [row.state for row in all_of(Recipient)]


@pytest.fixture
def poisoned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Applying a batch with the poison in it fails, as by a bug of ours."""
    apply_receipts = pipeline.apply_receipts

    def picky(connection: sa.Connection, ledgers: Any, receipts: Sequence[Any]) -> Any:
        if any(receipt.wamid == POISON for receipt in receipts):
            raise RuntimeError("a bug")
        return apply_receipts(connection, ledgers, receipts)

    monkeypatch.setattr(pipeline, "apply_receipts", picky)


def test_no_update_is_stored_for_a_status_that_can_be_applied(any_app: Flask) -> None:
    ids = accepted(200)
    for row_id in ids:
        receive(status(row_id))
    with counted_sql(db.engine) as sql:
        drain_statuses()
    assert states() == ["delivered"] * 200
    assert not any("INTO webhook_updates" in text for text in sql.statements)
    assert sql.number <= 12, sql.statements


@pytest.mark.usefixtures("poisoned")
def test_one_status_that_fails_is_parked_and_all_others_are_applied(any_app: Flask) -> None:
    ids = accepted(6)
    receive(*(status(row_id) for row_id in ids[:2]), status(ids[2], POISON))
    receive(*(status(row_id) for row_id in ids[3:]))
    for _ in range(lanes.MAX_ATTEMPTS):
        drain(1)
        release_all()
    assert states() == ["delivered"] * 2 + ["accepted"] + ["delivered"] * 3
    (parked,) = all_of(WebhookUpdate)
    assert (parked.state, "a bug" in parked.reason) == ("parked", True)
    assert [body.state for body in all_of(WebhookBody)] == ["done", "done"]


def test_what_failed_is_applied_by_a_replay_once_the_bug_is_mended(
    any_app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    (row_id,) = accepted(1)
    with monkeypatch.context() as patch:
        patch.setattr(jobs, "apply_receipts_of", _fail)
        patch.setattr(jobs, "apply_statuses", _fail)
        receive(status(row_id))
        for _ in range(lanes.MAX_ATTEMPTS):
            drain(1)
            release_all()
    (parked,) = all_of(WebhookUpdate)
    assert (states(), parked.state) == (["accepted"], "parked")
    any_app.test_cli_runner().invoke(args=["webhooks", "replay", str(parked.body_id)])
    drain()
    assert (states(), all_of(WebhookUpdate)) == (["delivered"], [])


def _fail(*_: Any) -> None:
    raise RuntimeError("a bug")


def test_a_batch_that_ends_its_worker_is_tried_again_body_by_body(
    any_app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that is gone leaves nothing but the count of its attempt."""
    ids = accepted(5)
    for row_id in ids:
        receive(status(row_id, POISON if row_id == ids[2] else ""))
    ended = _workers_until_dry(monkeypatch)
    assert ended <= 2 * lanes.MAX_ATTEMPTS
    assert states() == ["delivered"] * 2 + ["accepted"] + ["delivered"] * 2
    (parked,) = all_of(WebhookUpdate)
    assert parked.reason == "its worker ended each time it was tried"


def test_a_poison_far_behind_costs_no_more_workers_than_one_in_front(
    any_app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = accepted(60)
    for row_id in ids:
        receive(status(row_id, POISON if row_id == ids[50] else ""))
    assert _workers_until_dry(monkeypatch) <= 2 * lanes.MAX_ATTEMPTS
    assert states() == ["delivered"] * 50 + ["accepted"] + ["delivered"] * 9


def test_a_database_that_fails_counts_against_no_body(
    any_app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    (row_id,) = accepted(1)
    receive(status(row_id))
    with monkeypatch.context() as patch:
        patch.setattr("chatbot.webhooks.splitter.mark_split", _full_disk)
        for _ in range(lanes.MAX_ATTEMPTS + 2):
            with pytest.raises(sa.exc.OperationalError):
                drain_statuses()
            db.session.rollback()
    assert [(body.state, body.attempts) for body in all_of(WebhookBody)] == [("new", 0)]
    drain()
    assert states() == ["delivered"]


def _full_disk(*_: Any) -> None:
    raise sa.exc.OperationalError("UPDATE", {}, Exception("database or disk is full"))


class Killed(BaseException):
    """The worker is no more: nothing of ours catches this."""


def _workers_until_dry(monkeypatch: pytest.MonkeyPatch) -> int:
    """One worker after the other, each killed by the poison; returns how many were."""
    apply_receipts, ended = pipeline.apply_receipts, 0

    def deadly(connection: sa.Connection, ledgers: Any, receipts: Sequence[Any]) -> Any:
        if any(receipt.wamid == POISON for receipt in receipts):
            raise Killed
        return apply_receipts(connection, ledgers, receipts)

    monkeypatch.setattr(pipeline, "apply_receipts", deadly)
    while lanes.has_work(Lane.STATUSES):
        try:
            drain(1)
        except Killed:
            ended += 1
        db.session.rollback()
        release_all()
    return ended


def test_a_body_that_ends_its_worker_before_it_is_split_is_parked_and_can_be_replayed(
    any_app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = accepted(2)
    receive(status(first))
    receive(status(second))
    with monkeypatch.context() as patch:
        patch.setattr("chatbot.webhooks.splitter.split", _killing(b"wamid.1"))
        for _ in range(lanes.MAX_ATTEMPTS + 2):
            try:
                drain(1)
            except Killed:
                db.session.rollback()
    assert states() == ["accepted", "delivered"]
    bodies = all_of(WebhookBody)
    assert [body.state for body in bodies] == ["parked", "done"]
    assert bodies[0].reason == "its worker ended each time it was tried"
    any_app.test_cli_runner().invoke(args=["webhooks", "replay", str(bodies[0].id)])
    drain()
    assert states() == ["delivered", "delivered"]


def _killing(mark: bytes) -> Any:
    from chatbot.webhooks.payloads import split

    def deadly(raw: bytes, *rest: Any) -> Any:
        if mark + b'"' in raw:
            raise Killed
        return split(raw, *rest)

    return deadly


def test_a_status_before_its_message_waits_and_is_told_of_twice_without_harm(
    any_app: Flask,
) -> None:
    receive(status_value("wamid.early", "sent"))
    receive(status_value("wamid.early", "sent"))
    drain()
    assert {waiting.wamid for waiting in all_of(WaitingStatus)} == {"wamid.early"}
    assert all_of(WebhookUpdate) == []


def test_a_body_that_another_worker_has_split_meanwhile_is_not_given_up(
    any_app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five workers may have begun with the same body, one after the other."""
    (row_id,) = accepted(1)
    receive(status(row_id))

    def others_first(*_: Any) -> int:
        monkeypatch.undo()
        drain_statuses()
        return lanes.MAX_ATTEMPTS + 1

    monkeypatch.setattr("chatbot.webhooks.splitter.note_attempt", others_first)
    drain_statuses()
    assert [(body.state, body.reason) for body in all_of(WebhookBody)] == [("done", None)]
    assert states() == ["delivered"]
