from __future__ import annotations

import hashlib
import hmac
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from chatbot import create_app
from chatbot.channels.whatsapp.signature import is_signed
from chatbot.core import redis as prosa_redis
from chatbot.core.db import db
from chatbot.core.redis import key
from chatbot.webhooks.counts import list_counts
from chatbot.webhooks.models import WebhookBody
from chatbot.webhooks.routes import MAX_BODY
from chatbot.webhooks.tasks import drain_messages, drain_statuses
from tests.support.call_counts import RedisProxy, count_sql
from tests.support.factories import (
    make_message_value,
    make_status_value,
    make_webhook_body,
    signature_headers,
)
from tests.support.ports import wait_for
from tests.support.redis_server import RedisServer
from tests.support.settings import SECRETS, make_settings

URL = "/webhooks/whatsapp"


def list_bodies() -> list[WebhookBody]:
    found = db.session.scalars(sa.select(WebhookBody).order_by(WebhookBody.id)).all()
    db.session.expunge_all()
    db.session.rollback()
    return list(found)


def post(app: Flask, raw: bytes) -> int:
    return app.test_client().post(URL, data=raw, headers=signature_headers(raw)).status_code


def test_a_signed_body_is_stored_unchanged(any_app: Flask) -> None:
    raw = make_webhook_body(make_message_value("olá"))
    assert post(any_app, raw) == 200
    (body,) = list_bodies()
    assert (body.raw, body.state, body.queue) == (raw, "new", "messages")


@pytest.mark.parametrize(
    ("header", "code"),
    [
        (None, 401),
        ("", 403),
        ("sha256=", 403),
        ("sha256=" + "0" * 64, 403),
        ("sha1=abc", 403),
        ("sha256=é", 403),
    ],
)
def test_without_a_valid_signature_nothing_is_stored(
    any_app: Flask, header: str | None, code: int
) -> None:
    headers = {} if header is None else {"X-Hub-Signature-256": header}
    raw = make_webhook_body(make_message_value())
    assert any_app.test_client().post(URL, data=raw, headers=headers).status_code == code
    assert list_bodies() == []


def test_one_changed_byte_is_refused(app: Flask) -> None:
    raw = make_webhook_body(make_message_value("pague 10"))
    forged = raw.replace(b"pague 10", b"pague 99")
    assert (
        app.test_client().post(URL, data=forged, headers=signature_headers(raw)).status_code == 403
    )
    assert list_bodies() == []


def test_a_body_above_metas_limit_is_refused(app: Flask) -> None:
    most, more = b"x" * MAX_BODY, b"x" * (MAX_BODY + 1)
    assert post(app, more) == 413
    assert list_bodies() == []
    assert post(app, most) == 200


@pytest.mark.parametrize(
    "raw", [b"", b"no json", b"[]", b'{"entry": 1}', b"\xff\xfe", b"null", b"[" * 9000]
)
def test_an_unreadable_body_is_kept_and_quarantined_with_the_reason(
    any_app: Flask, raw: bytes
) -> None:
    assert post(any_app, raw) == 200
    drain_statuses()
    drain_messages()
    (body,) = list_bodies()
    assert (body.state, body.raw) == ("quarantined", raw)
    assert body.reason
    shown = any_app.test_cli_runner().invoke(args=["webhooks", "list", "--parked"])
    assert body.reason[:40] in shown.output


def test_statuses_have_their_own_queue(app: Flask) -> None:
    post(app, make_webhook_body(make_status_value("wamid.x")))
    assert [body.queue for body in list_bodies()] == ["statuses"]


def test_a_post_is_one_statement_and_one_round_trip(
    database_url: str, tmp_path: Path, redis_server: RedisServer
) -> None:
    redis_proxy = RedisProxy(redis_server.url)
    app = create_app(make_settings(tmp_path, DATABASE_URL=database_url, REDIS_URL=redis_proxy.url))
    raw = make_webhook_body(make_message_value())
    with app.app_context():
        prosa_redis.client().ping()
        post(app, raw)
        with redis_proxy.count_round_trips() as trips, count_sql(db.engine) as sql:
            assert post(app, raw) == 200
        db.engine.dispose()
    assert trips.number == 1
    assert [s.split()[:2] for s in sql.statements] == [["INSERT", "INTO"]]
    app.extensions["prosa_redis"].pool.disconnect()
    redis_proxy.close()


def test_a_post_enqueues_its_queue_once(app: Flask, redis_server: RedisServer) -> None:
    for _ in range(3):
        post(app, make_webhook_body(make_message_value()))
    assert redis_server.admin.llen(key("wakeup", "inbound")) == 1
    assert not redis_server.admin.exists(key("wakeup", "statuses"))


def test_without_redis_a_post_is_stored(app: Flask, redis_server: RedisServer) -> None:
    redis_server.kill()
    assert post(app, make_webhook_body(make_message_value())) == 200
    assert len(list_bodies()) == 1


def test_without_the_database_the_answer_is_503(tmp_path: Path, redis_server: RedisServer) -> None:
    url = "postgresql://nobody@127.0.0.1:1/none"
    app = create_app(make_settings(tmp_path, DATABASE_URL=url, REDIS_URL=redis_server.url))
    raw = make_webhook_body(make_message_value())
    with app.app_context():
        assert post(app, raw) == 503
    assert not redis_server.admin.exists(key("wakeup", "inbound"))
    app.extensions["prosa_redis"].pool.disconnect()


def test_only_the_right_verify_token_gets_the_challenge(client: FlaskClient) -> None:
    given = {
        "hub.mode": "subscribe",
        "hub.verify_token": SECRETS["WHATSAPP_VERIFY_TOKEN"],
        "hub.challenge": "<b>1158201444</b>",
    }
    right = client.get(URL, query_string=given)
    assert (right.status_code, right.text) == (200, given["hub.challenge"])
    assert right.mimetype == "text/plain"
    for name, value in (
        ("hub.verify_token", "wrong"),
        ("hub.mode", "x"),
        ("hub.verify_token", "é"),
    ):
        assert client.get(URL, query_string={**given, name: value}).status_code == 403
    assert client.get(URL).status_code == 403


def test_during_a_change_of_the_secret_both_are_valid(
    sqlite_url: str, tmp_path: Path, redis_server: RedisServer
) -> None:
    given = {"WHATSAPP_APP_SECRET": "new", "WHATSAPP_APP_SECRET_PREVIOUS": "test-app-secret"}
    raw = make_webhook_body(make_message_value())
    for changes, code in ((given, 200), ({**given, "WHATSAPP_APP_SECRET_PREVIOUS": ""}, 403)):
        app = create_app(
            make_settings(tmp_path, DATABASE_URL=sqlite_url, REDIS_URL=redis_server.url, **changes)
        )
        with app.app_context():
            assert post(app, raw) == code
            db.engine.dispose()
        app.extensions["prosa_redis"].pool.disconnect()


def test_an_empty_secret_never_matches() -> None:
    digest = hmac.new(b"", b"x", hashlib.sha256).hexdigest()
    assert not is_signed(b"x", f"sha256={digest}", "secret", "")


def count_refusals() -> dict[str, int]:
    with db.engine.connect() as connection:
        return {kind: number for kind, number, _ in list_counts(connection, 1)}


def test_refusals_are_counted_and_written_once_a_second(app: Flask) -> None:
    client = app.test_client()
    with count_sql(db.engine) as sql:
        for _ in range(50):
            client.post(URL, data=b"x", headers={"X-Hub-Signature-256": "sha256=0"})
    assert sql.number <= 3
    assert post(app, b"x" * (MAX_BODY + 1)) == 413
    wait_for(lambda: count_refusals() == {"refused:signature": 50, "refused:size": 1}, 20)
