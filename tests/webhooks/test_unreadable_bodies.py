"""One body that cannot be read, or that ends its worker, does not stop a queue."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask

from chatbot.conversations.models import Message
from chatbot.core.db import db
from chatbot.webhooks import queues, splitter
from chatbot.webhooks.models import WebhookBody, WebhookQueue, WebhookUpdate
from chatbot.webhooks.parsing import payloads
from chatbot.webhooks.parsing.values import to_integer
from tests.support.factories import make_message_value, make_status_value
from tests.support.webhooks import drain_queues, expire_update_leases, list_all, store_webhook

POISON = b"veneno"
BEFORE, AFTER = 12, 8
PATIENCE_S = 90


def list_texts() -> list[str]:
    return [message.text for message in list_all(Message)]


@pytest.mark.parametrize(
    "code", ["--5", "-", "5-", "\u0663", "", "9" * 400, None, [], {}, 1.5, True]
)
def test_any_error_code_is_read_without_an_error(app: Flask, code: Any) -> None:
    errors = [{"code": code}]
    store_webhook(make_message_value("", type="unsupported", errors=errors))
    store_webhook(make_status_value("w", "failed", errors=errors) | {"errors": errors})
    store_webhook(make_message_value("boa"))
    drain_queues()
    assert "boa" in list_texts()
    assert {body.state for body in list_all(WebhookBody)} == {"done"}


def test_integers_are_read_from_plain_digits_only() -> None:
    assert [to_integer(text) for text in ("--5", "-5", " 7 ", "\u0663", "5-")] == [
        None,
        -5,
        7,
        None,
        None,
    ]


@pytest.mark.parametrize("function", ["parse_message", "parse_status", "parse_number_errors"])
def test_a_bug_of_the_parser_costs_its_own_update_only(
    app: Flask, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    parse = getattr(payloads, function)

    def buggy(*arguments: Any) -> Any:
        if POISON.decode() in str(arguments):
            raise KeyError("a bug")
        return parse(*arguments)

    monkeypatch.setattr(payloads, function, buggy)
    errors = {"errors": [{"code": 5, "title": POISON.decode()}]}
    poison = {
        "parse_message": make_message_value(POISON.decode()),
        "parse_status": make_status_value(POISON.decode()),
        "parse_number_errors": make_status_value("w") | errors,
    }[function]
    store_webhook(poison, make_message_value("boa"))
    drain_queues()
    assert list_texts() == ["boa"]
    (update,) = list_all(WebhookUpdate)
    assert (update.state, update.reason) == ("quarantined", "KeyError: 'a bug'")


@pytest.mark.parametrize("function", ["parse_body", "build_rows"])
def test_a_bug_for_a_whole_body_quarantines_it(
    app: Flask, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    original = getattr(splitter, function)

    def buggy(argument: Any, *rest: Any) -> Any:
        if POISON.decode() in str(argument):
            raise ValueError("a bug")
        return original(argument, *rest)

    monkeypatch.setattr(splitter, function, buggy)
    store_webhook(make_message_value(POISON.decode()))
    store_webhook(make_message_value("boa"))
    drain_queues()
    assert list_texts() == ["boa"]
    assert [body.state for body in list_all(WebhookBody)] == ["quarantined", "done"]


class WorkerKilled(BaseException):
    """Stands for the end of a worker: none of our code catches it."""


def test_a_deadly_body_amid_others_ends_a_few_workers_only(
    any_app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    parse_body, ended = splitter.parse_body, 0

    def deadly(raw: bytes, *rest: Any) -> Any:
        if POISON in raw:
            raise WorkerKilled
        return parse_body(raw, *rest)

    monkeypatch.setattr(splitter, "parse_body", deadly)
    _store_around(make_message_value(POISON.decode()))
    while queues.has_work(WebhookQueue.MESSAGES):
        try:
            drain_queues(1)
        except WorkerKilled:
            ended += 1
        db.session.rollback()
        expire_update_leases()
    assert ended == queues.MAX_ATTEMPTS + 1, "once in the batch, then alone"
    assert len(list_texts()) == BEFORE + AFTER
    assert _list_quarantined() == ["its worker ended each time it was tried"]


def _store_around(poison: dict[str, Any]) -> None:
    """Store `poison` amid other bodies."""
    for number in range(BEFORE):
        store_webhook(make_message_value(f"antes {number}", sender=f"55119{80000000 + number}"))
    store_webhook(poison)
    for number in range(AFTER):
        store_webhook(make_message_value(f"depois {number}", sender=f"55219{80000000 + number}"))


def _list_quarantined() -> list[str | None]:
    return [body.reason for body in list_all(WebhookBody) if body.state == "quarantined"]
