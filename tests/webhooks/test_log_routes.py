"""Webhooks page: counts by kind, quarantined bodies with the reason, and replays."""

from __future__ import annotations

from datetime import timedelta

import sqlalchemy as sa
from flask import Flask

from chatbot.accounts.models import Role
from chatbot.channels.models import Channel
from chatbot.conversations.models import Message
from chatbot.core import clock
from chatbot.core.db import db
from chatbot.webhooks.models import WebhookBody, WebhookUpdate
from chatbot.webhooks.tasks import delete_expired
from tests.support.clients import make_signed_in_client
from tests.support.factories import make_channel, make_message_value, make_status_value
from tests.support.webhooks import drain_queues, list_all, store_webhook


def store_foreign_webhook(text: str = "para outro") -> None:
    value = make_message_value(text)
    value["metadata"]["phone_number_id"] = "999"
    store_webhook(value)
    drain_queues(1)


def test_a_quarantined_body_shows_with_its_reason_and_can_be_replayed(app: Flask) -> None:
    store_webhook(make_message_value("minha"), make_status_value("w", "in_orbit"))
    store_foreign_webhook()
    manager, _ = make_signed_in_client(app, Role.MANAGER)
    page = manager.get("/channel/webhooks/").text
    assert "phone_number_id 999 is not one of ours" in page
    for kind in ("message:text", "status:in_orbit"):
        assert f"<code>{kind}</code>" in page
    number = list_all(WebhookBody)[-1].id
    shown = manager.get(f"/channel/webhooks/{number}").text
    assert "para outro" in shown
    assert "phone_number_id 999 is not one of ours" in shown
    db.session.execute(sa.update(Channel).values(phone_number_id="999"))
    db.session.commit()
    assert manager.post(f"/channel/webhooks/{number}/replay").status_code == 303
    drain_queues(1)
    assert [m.text for m in list_all(Message)] == ["minha", "para outro"]
    assert "999 is not one of ours" not in manager.get("/channel/webhooks/").text


def test_all_quarantined_bodies_are_replayed_with_one_click(app: Flask) -> None:
    make_channel()
    for number in range(3):
        store_foreign_webhook(f"n{number}")
    manager, _ = make_signed_in_client(app, Role.MANAGER)
    db.session.execute(sa.update(Channel).values(phone_number_id="999"))
    db.session.commit()
    assert manager.post("/channel/webhooks/replay-parked").status_code == 303
    drain_queues(2)
    assert len(list_all(Message)) == 3
    assert list_all(WebhookUpdate) == []


def test_all_bodies_can_be_searched_by_their_content(any_app: Flask) -> None:
    store_webhook(make_message_value("achado", sender="5511911112222"))
    store_webhook(make_message_value("outro", sender="5511933334444"))
    drain_queues(1)
    manager, _ = make_signed_in_client(any_app, Role.MANAGER)
    page = manager.get("/channel/webhooks/?show=all&q=5511911112222").text
    assert "/channel/webhooks/1" in page
    assert "/channel/webhooks/2" not in page


def test_a_binary_body_is_shown(app: Flask) -> None:
    with db.engine.begin() as connection:
        row = {"received_at": clock.now(), "queue": "statuses", "raw": b"\xff<script>\x00"}
        connection.execute(sa.insert(WebhookBody), [row])
    manager, _ = make_signed_in_client(app, Role.MANAGER)
    page = manager.get("/channel/webhooks/1")
    assert (page.status_code, "<script>\x00" in page.text) == (200, False)
    assert manager.get("/channel/webhooks/77").status_code == 404
    assert manager.get("/channel/webhooks/?after=x").status_code == 422


def test_the_command_lists_and_replays_by_filter(any_app: Flask) -> None:
    store_webhook(make_message_value("a"))
    store_webhook(make_status_value("w"))
    store_foreign_webhook()
    runner = any_app.test_cli_runner()

    def listed(*options: str) -> list[str]:
        output = runner.invoke(args=["webhooks", "list", *options]).output
        return [line.split("\t")[0] for line in output.splitlines()]

    assert listed() == ["3", "2", "1"]
    assert listed("--limit", "1") == ["3"]
    assert listed("--lane", "statuses") == ["2"]
    assert listed("--parked") == ["3"]
    assert listed("--text", "para outro") == ["3"]
    tomorrow = f"{clock.now() + timedelta(days=1):%Y-%m-%d}"
    assert (listed("--since", tomorrow), listed("--until", tomorrow)) == ([], ["3", "2", "1"])
    assert "3" in runner.invoke(args=["webhooks", "replay", "--parked"]).output
    assert [body.replays for body in list_all(WebhookBody)] == [0, 0, 1]
    assert runner.invoke(args=["webhooks", "replay"]).exit_code == 2


def test_a_replay_is_not_counted_again(app: Flask) -> None:
    store_webhook(make_message_value("a"))
    drain_queues(1)
    app.test_cli_runner().invoke(args=["webhooks", "replay", "1"])
    drain_queues(1)
    manager, _ = make_signed_in_client(app, Role.MANAGER)
    assert manager.get("/channel/webhooks/").text.count(">1</td>") == 2


def test_bodies_are_deleted_after_the_retention_of_the_setting(app: Flask) -> None:
    store_webhook(make_message_value("velha"))
    store_foreign_webhook("velha e separada")
    store_webhook(make_message_value("nova"))
    drain_queues(1)
    old = clock.now() - timedelta(days=31)
    db.session.execute(sa.update(WebhookBody).where(WebhookBody.id < 3).values(received_at=old))
    db.session.commit()
    delete_expired()
    (kept,) = list_all(WebhookBody)
    assert b"nova" in kept.raw
    assert list_all(WebhookUpdate) == []
