from __future__ import annotations

import re

import pytest
import sqlalchemy as sa
from flask import Flask, session

from chatbot.accounts.models import User
from chatbot.core.db import db
from chatbot.core.sessions import StoredSession
from tests.support.clients import csrf_token_in, make_client, make_signed_in_client
from tests.support.panel import PASSWORD, make_user
from tests.support.ports import wait_for
from tests.support.redis_server import RedisServer


def is_redis_back(app: Flask) -> bool:
    return not app.extensions["prosa_redis"].pool.breaker.is_open


def test_a_session_survives_a_killed_redis(any_app: Flask, redis_server: RedisServer) -> None:
    client, _ = make_signed_in_client(any_app)
    redis_server.kill()
    assert client.is_signed_in()
    redis_server.start()
    wait_for(lambda: is_redis_back(any_app))
    assert client.is_signed_in()


def test_a_session_survives_an_emptied_redis(app: Flask, redis_server: RedisServer) -> None:
    client, _ = make_signed_in_client(app)
    redis_server.flush()
    assert client.is_signed_in()


def test_sign_in_works_while_redis_is_down(app: Flask, redis_server: RedisServer) -> None:
    """Sign in with a CSRF token from the anonymous session."""
    app.config["WTF_CSRF_ENABLED"] = True
    user = make_user("Ana")
    redis_server.kill()
    client = make_client(app)
    data = {"email": user.email, "password": PASSWORD}
    data["csrf_token"] = csrf_token_in(client.get("/login"))
    assert client.post("/login", data=data).status_code == 303
    assert client.is_signed_in()


def test_a_sign_out_holds_when_redis_restores_old_data(
    app: Flask, redis_server: RedisServer
) -> None:
    client, user = make_signed_in_client(app)
    thief = make_client(app)
    cookie = client.get_cookie("prosa")
    assert cookie is not None
    thief.set_cookie("prosa", cookie.value)
    assert thief.is_signed_in()
    names = redis_server.admin.keys("prosa:session:*")
    remembered = {name: redis_server.admin.get(name) for name in names}
    assert remembered
    redis_server.kill()
    client.post("/logout")
    redis_server.start()
    wait_for(lambda: is_redis_back(app))
    for name, value in remembered.items():  # as Redis restores them from an append-only file
        redis_server.admin.set(name, value)
    assert not thief.is_signed_in()
    assert not client.is_signed_in()
    assert client.sign_in(user).status_code == 303


def test_signing_out_ends_only_this_device(app: Flask) -> None:
    client, user = make_signed_in_client(app)
    other = make_client(app)
    other.sign_in(user)
    client.post("/logout")
    assert not client.is_signed_in()
    assert other.is_signed_in()


@pytest.mark.parametrize("redis_is", ["up", "killed"])
def test_signing_out_everywhere_ends_all_devices(
    app: Flask, redis_server: RedisServer, redis_is: str
) -> None:
    client, user = make_signed_in_client(app)
    other = make_client(app)
    other.sign_in(user)
    if redis_is == "killed":
        redis_server.kill()
    assert client.post("/account/sign-out-everywhere").status_code == 303
    assert not client.is_signed_in()
    assert not other.is_signed_in()


def test_a_new_password_signs_out_the_other_devices_only(app: Flask) -> None:
    client, user = make_signed_in_client(app)
    other = make_client(app)
    other.sign_in(user)
    new = "a new long password"
    data = {"present": PASSWORD, "password": new, "repeated": new}
    assert client.post("/account/password", data=data).status_code == 303
    assert client.is_signed_in()
    assert not other.is_signed_in()
    assert make_client(app).sign_in(user).status_code == 401
    assert make_client(app).sign_in(user, new).status_code == 303


@pytest.mark.parametrize(
    ("present", "password", "repeated", "sentence"),
    [
        ("wrong", "a new long password", "a new long password", "Esta não é a sua senha atual."),
        (PASSWORD, "short", "short", "A senha precisa de pelo menos 10 caracteres."),
        (PASSWORD, "a new long password", "another", "As duas senhas são diferentes."),
    ],
)
def test_a_refused_password_shows_the_reason(
    app: Flask, present: str, password: str, repeated: str, sentence: str
) -> None:
    client, user = make_signed_in_client(app)
    data = {"present": present, "password": password, "repeated": repeated}
    answer = client.post("/account/password", data=data)
    assert answer.status_code == 422
    assert sentence in answer.text
    assert make_client(app).sign_in(user).status_code == 303


def test_guesses_of_the_current_password_are_limited_too(app: Flask) -> None:
    client, _ = make_signed_in_client(app)
    new = "a new long password"
    data = {"present": "wrong", "password": new, "repeated": new}
    answers = [client.post("/account/password", data=data).status_code for _ in range(6)]
    assert answers == [422] * 5 + [429]


def test_signing_in_changes_the_session_id(app: Flask) -> None:
    """Session fixation: an id planted in the browser before the sign-in is not used after it."""
    user = make_user("Ana")
    client = make_client(app)
    client.set_cookie("prosa", "planted-by-somebody-else")
    client.get("/login")
    client.sign_in(user)
    cookie = client.get_cookie("prosa")
    assert cookie is not None
    assert cookie.value != "planted-by-somebody-else"
    thief = make_client(app)
    thief.set_cookie("prosa", "planted-by-somebody-else")
    assert not thief.is_signed_in()


def test_the_copy_in_sql_reveals_no_session_id(app: Flask) -> None:
    client, _ = make_signed_in_client(app)
    cookie = client.get_cookie("prosa")
    assert cookie is not None
    row = db.session.scalars(sa.select(StoredSession)).one()
    assert re.fullmatch("[0-9a-f]{64}", row.id)
    assert cookie.value not in str(row.data)


def test_a_view_that_leaves_its_transaction_open_does_not_block_the_session(app: Flask) -> None:
    """SQLite has one writer, so the session is written after the view's transaction is closed."""
    client, user = make_signed_in_client(app)
    user_id = user.id

    def careless() -> str:
        found = db.session.get(User, user_id)
        assert found is not None
        found.name = "not committed"
        db.session.flush()
        session["x"] = 1
        return found.email

    app.view_functions["accounts.choose_language"] = careless
    assert client.post("/language").status_code == 200
    assert user.name == "Ana"
