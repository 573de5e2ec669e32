"""Corrupted bodies through the endpoint and both pipelines: no 5xx, no dead worker, each is kept."""

from __future__ import annotations

import os

import pytest
import sqlalchemy as sa
from flask import Flask

from chatbot.conversations.models import Message
from chatbot.core.db import db
from chatbot.webhooks.models import WebhookBody, WebhookQueue, WebhookUpdate
from chatbot.webhooks.queues import has_work
from chatbot.webhooks.tasks import drain_messages, drain_statuses
from tests.support.factories import (
    make_channel,
    make_message_value,
    make_webhook_body,
    signature_headers,
)
from tests.support.fuzz import mutated_bodies
from tests.support.scale import scaled

ON_EACH_DATABASE = int(os.environ.get("PROSA_FUZZ", scaled(150, 400)))
COUNT = scaled(400, 10_000)
pytestmark = pytest.mark.timeout(900)
MOST_ROUNDS = 2_000


def post(app: Flask, raws: list[bytes]) -> set[int]:
    client = app.test_client()
    return {
        client.post("/webhooks/whatsapp", data=raw, headers=signature_headers(raw)).status_code
        for raw in raws
    }


def drain_all() -> None:
    for _ in range(MOST_ROUNDS):
        drain_messages()
        drain_statuses()
        db.session.rollback()
        db.session.expunge_all()
        if not has_work(WebhookQueue.MESSAGES) and not has_work(WebhookQueue.STATUSES):
            return
    raise AssertionError("the queues do not become empty")


def test_mutated_bodies_stop_nothing_and_are_all_kept(app: Flask) -> None:
    make_channel()
    raws = list(mutated_bodies(COUNT, seed=2026))
    raws.append(make_webhook_body(make_message_value("sou o último", wamid="wamid.last")))
    assert post(app, raws) == {200}
    drain_all()
    with db.engine.connect() as connection:
        kept = connection.scalars(sa.select(WebhookBody.raw).order_by(WebhookBody.id)).all()
        states = set(connection.scalars(sa.select(WebhookBody.state)))
        reasons = connection.scalars(sa.select(WebhookUpdate.reason)).all()
        last = connection.scalar(sa.select(Message.text).where(Message.wamid == "wamid.last"))
    assert kept == raws
    assert states == {"done", "quarantined"}
    # An exception's name in a reason would be a bug of ours, quarantined after four attempts.
    assert not [reason for reason in reasons if "Error:" in (reason or "")]
    assert last == "sou o último"


def test_mutations_are_handled_on_every_database(any_app: Flask) -> None:
    """Mutations include values that only one database rejects: NUL, lone surrogates, large numbers."""
    make_channel()
    post(any_app, list(mutated_bodies(ON_EACH_DATABASE, seed=7)))
    drain_all()
    with db.engine.connect() as connection:
        reasons = connection.scalars(sa.select(WebhookUpdate.reason)).all()
    assert not [reason for reason in reasons if "Error:" in (reason or "")]
