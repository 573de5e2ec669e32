from __future__ import annotations

import hashlib
import inspect
import os
import pickle
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from flask import Flask, g, request, session
from flask.testing import FlaskClient
from flask_login import current_user
from flask_session import Session
from flask_session.base import ServerSideSessionInterface
from flask_session.redis import RedisSessionInterface

from chatbot.accounts import service as accounts
from chatbot.accounts.models import Role
from chatbot.core import clock
from chatbot.core import redis as prosa_redis
from chatbot.core.db import db
from chatbot.core.redis import key
from chatbot.core.sessions import ANONYMOUS_LIFETIME, StoredSession
from tests.support.ports import wait_for
from tests.support.redis_server import RedisServer

EMAIL, PASSWORD = "ana@prosa.test", "uma-senha-bem-longa"


@pytest.fixture
def panel(fresh_app: Flask) -> Flask:
    """Application with a page that shows the signed-in user, and one that writes into the session."""

    @fresh_app.get("/who")
    def _who() -> str:
        return current_user.email if current_user.is_authenticated else "anonymous"

    @fresh_app.get("/store/<value>")
    def _store(value: str) -> str:
        before = str(session.get("stored"))
        session["stored"] = value
        return before

    accounts.create_user(EMAIL, "Ana", Role.AGENT, PASSWORD)
    db.session.commit()
    return fresh_app


def clear_request_user() -> None:
    """Forget the user: the fixture's application context, where Flask-Login caches it, outlives a request."""
    g.pop("_login_user", None)
    db.session.rollback()
    db.session.expunge_all()


def sign_in(client: FlaskClient) -> None:
    clear_request_user()
    response = client.post("/login", data={"email": EMAIL, "password": PASSWORD})
    assert response.status_code in (302, 303), response.text


def sign_out(client: FlaskClient) -> None:
    clear_request_user()
    client.post("/logout")


def get_signed_in_email(client: FlaskClient) -> str:
    clear_request_user()
    return client.get("/who").text


def wait_for_redis(app: Flask) -> None:
    wait_for(lambda: not app.extensions["prosa_redis"].pool.breaker.is_open, 5)


def get_session_id(client: FlaskClient) -> str:
    cookie = client.get_cookie("prosa")
    assert cookie is not None
    return cookie.value


def redis_key(sid: str) -> str:
    return key("session", hashlib.sha256(sid.encode()).hexdigest())


def test_a_session_survives_a_killed_or_emptied_redis(
    panel: Flask, redis_server: RedisServer
) -> None:
    client = panel.test_client()
    sign_in(client)
    assert get_signed_in_email(client) == EMAIL
    redis_server.flush()
    assert get_signed_in_email(client) == EMAIL
    assert 0 < redis_server.admin.ttl(redis_key(get_session_id(client))) <= 14 * 86400, "put back"
    redis_server.kill()
    assert get_signed_in_email(client) == EMAIL
    redis_server.start()
    wait_for_redis(panel)
    assert get_signed_in_email(client) == EMAIL


def test_users_can_sign_in_and_out_without_redis(panel: Flask, redis_server: RedisServer) -> None:
    redis_server.kill()
    client = panel.test_client()
    sign_in(client)
    assert get_signed_in_email(client) == EMAIL
    sign_out(client)
    assert get_signed_in_email(client) == "anonymous"


def test_a_sign_out_during_an_outage_holds_when_redis_comes_back_with_its_old_data(
    panel: Flask, redis_server: RedisServer
) -> None:
    client = panel.test_client()
    sign_in(client)
    stolen = get_session_id(client)
    assert redis_server.admin.exists(redis_key(stolen))
    redis_server.freeze()
    sign_out(client)
    redis_server.thaw()
    wait_for_redis(panel)
    thief = panel.test_client()
    thief.set_cookie("prosa", stolen)
    assert get_signed_in_email(thief) == "anonymous"
    assert not redis_server.admin.exists(redis_key(stolen))


def test_an_outage_does_not_undo_a_sign_out(panel: Flask, redis_server: RedisServer) -> None:
    """Sign out: the next page flashes a message, so its session is not empty, but has no user."""
    client = panel.test_client()
    sign_in(client)
    old = get_session_id(client)
    sign_out(client)
    redis_server.flush()
    assert get_signed_in_email(client) == "anonymous"
    thief = panel.test_client()
    thief.set_cookie("prosa", old)
    assert get_signed_in_email(thief) == "anonymous"
    copy = db.session.scalars(sa.select(StoredSession).where(StoredSession.user_id != "")).one()
    assert copy.ended_at is not None


def test_signing_in_and_out_changes_the_id(panel: Flask) -> None:
    client = panel.test_client()
    client.set_cookie("prosa", "chosen-by-somebody-else")
    client.get("/store/a")
    before = get_session_id(client)
    sign_in(client)
    signed_in = get_session_id(client)
    sign_out(client)
    ids = {before, signed_in, get_session_id(client), "chosen-by-somebody-else"}
    assert len(ids) == 4


def test_a_request_that_was_under_way_at_the_sign_out_does_not_bring_the_session_back(
    panel: Flask, redis_server: RedisServer
) -> None:
    client = panel.test_client()
    sign_in(client)
    old = get_session_id(client)
    interface: Any = panel.session_interface
    with panel.test_request_context("/store/x", headers={"Cookie": f"prosa={old}"}):
        slow = interface.open_session(panel, request)
    sign_out(client)
    slow["stored"] = "late"
    interface.save_session(panel, slow, panel.response_class())
    assert not redis_server.admin.exists(redis_key(old))
    thief = panel.test_client()
    thief.set_cookie("prosa", old)
    assert get_signed_in_email(thief) == "anonymous"


def test_old_data_of_redis_does_not_undo_writes_during_an_outage(
    panel: Flask, redis_server: RedisServer
) -> None:
    client = panel.test_client()
    sign_in(client)
    client.get("/store/before")
    redis_server.freeze()
    client.get("/store/during")
    redis_server.thaw()
    wait_for_redis(panel)
    assert client.get("/store/after").text == "during"


def test_old_data_of_redis_does_not_undo_a_strangers_writes_during_an_outage(
    panel: Flask, redis_server: RedisServer
) -> None:
    client = panel.test_client()
    client.get("/store/before")
    redis_server.freeze()
    client.get("/store/during")
    redis_server.thaw()
    wait_for_redis(panel)
    assert client.get("/store/after").text == "during"


def test_a_strangers_session_lives_two_hours_in_both_stores(
    panel: Flask, redis_server: RedisServer
) -> None:
    client = panel.test_client()
    client.get("/store/a")
    most_s = ANONYMOUS_LIFETIME.total_seconds()
    assert 0 < redis_server.admin.ttl(redis_key(get_session_id(client))) <= most_s == 7200
    copy = db.session.scalars(sa.select(StoredSession)).one()
    assert copy.expires_at - clock.now() <= ANONYMOUS_LIFETIME
    sign_in(client)
    assert redis_server.admin.ttl(redis_key(get_session_id(client))) > most_s


@pytest.mark.parametrize(
    ("method", "path", "stored"),
    [
        ("GET", "/login", 1),  # the token of its form
        ("HEAD", "/login", 0),
        ("GET", "/", 0),
        ("GET", "/nowhere", 0),
        ("GET", "/account/", 0),
        ("POST", "/login", 0),
        ("POST", "/logout", 0),
        ("PUT", "/login", 0),
        ("GET", "/metrics", 0),
    ],
)
def test_a_strangers_session_is_stored_only_when_something_is_written(
    panel: Flask, redis_server: RedisServer, method: str, path: str, stored: int
) -> None:
    panel.config["WTF_CSRF_ENABLED"] = True
    answer = panel.test_client().open(path, method=method)
    assert ("prosa=" in answer.headers.get("Set-Cookie", "")) == bool(stored)
    assert len(list(redis_server.admin.scan_iter(match="prosa:session:*"))) == stored
    assert len(db.session.scalars(sa.select(StoredSession.id)).all()) == stored


@pytest.mark.parametrize("kind", ["garbage", "pickle", "list", "empty"])
def test_a_value_that_is_no_session_is_a_miss(
    panel: Flask, redis_server: RedisServer, tmp_path: Path, kind: str
) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "executed"),)

    raw = {
        "garbage": b"\xc1\xff\x00",
        "pickle": pickle.dumps(Bomb()),
        "list": msgspec.msgpack.encode([1, 2]),
        "empty": b"",
    }[kind]
    client = panel.test_client()
    client.get("/store/a")
    redis_server.admin.set(redis_key(get_session_id(client)), raw)
    assert client.get("/store/b").text == "a", "the copy in SQL is read"
    assert not (tmp_path / "executed").exists()


def test_neither_store_contains_the_cookie(panel: Flask, redis_server: RedisServer) -> None:
    client = panel.test_client()
    sign_in(client)
    sid = get_session_id(client)
    assert len(sid) >= 40
    names = [name.decode() for name in redis_server.admin.scan_iter()]
    copies = db.session.scalars(sa.select(StoredSession.id)).all()
    assert not any(sid in name for name in [*names, *copies])
    assert 0 < redis_server.admin.ttl(redis_key(sid)) <= 14 * 86400


def test_paths_for_machines_have_no_session(panel: Flask, redis_server: RedisServer) -> None:
    response = panel.test_client().get("/health")
    assert "Set-Cookie" not in response.headers
    assert list(redis_server.admin.scan_iter(match="prosa:session:*")) == []
    assert prosa_redis.state().url == redis_server.url


def test_the_pinned_flask_session_has_the_parts_that_we_override() -> None:
    """Check at an upgrade of Flask-Session: what `ResilientSession` and its interface override."""
    assert version("flask-session") == "0.8.0"
    assert "session_interface" in inspect.getsource(Session.init_app)
    for name in ("open_session", "save_session", "_delete_session", "_upsert_session"):
        assert callable(getattr(RedisSessionInterface, name)), name
    source = inspect.getsource(ServerSideSessionInterface.save_session)
    for call in (
        "self._get_store_id(session.sid)",
        "self._upsert_session(",
        "self._delete_session(",
    ):
        assert call in source, call
