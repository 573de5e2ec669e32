from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa
from argon2 import Type
from flask import Flask

from chatbot.accounts.models import AuditEvent, FailedSignIn, Role
from chatbot.core import clock
from chatbot.core.db import db
from tests.conftest import PRODUCTION_HASHER
from tests.support.clients import PanelClient, csrf_token_in, make_client, make_signed_in_client
from tests.support.panel import make_user

WRONG_PASSWORD = "not the password"


def post_wrong_password(client: PanelClient, email: str = "ana@prosa.example") -> int:
    return client.post("/login", data={"email": email, "password": WRONG_PASSWORD}).status_code


def test_sign_in_redirects_to_the_requested_page(app: Flask) -> None:
    user = make_user("Ana")
    client = make_client(app)
    first = client.get("/account/")
    assert (first.status_code, first.location) == (302, "/login?next=/account/")
    answer = client.post(first.location, data={"email": user.email.upper(), "password": "x"})
    assert answer.status_code == 401
    again = client.post(
        first.location,
        data={"email": f" {user.email.upper()} ", "password": "correct horse battery"},
    )
    assert (again.status_code, again.location) == (303, "/account/")
    assert client.is_signed_in()


def test_hashes_in_production_cost_what_rfc_9106_recommends() -> None:
    """Section 4, second option: three passes over 64 MiB. The tests use a cheaper hasher."""
    found = PRODUCTION_HASHER
    assert found.type is Type.ID
    assert (found.time_cost, found.memory_cost) >= (3, 64 * 1024)
    assert found.parallelism >= 4


@pytest.mark.parametrize(
    "target", ["//evil.example", "https://evil.example", "/\\evil.example", "/\t/evil.example"]
)
def test_sign_in_never_redirects_to_another_site(app: Flask, target: str) -> None:
    user = make_user("Ana")
    client = make_client(app)
    answer = client.post(
        "/login",
        query_string={"next": target},
        data={"email": user.email, "password": "correct horse battery"},
    )
    assert (answer.status_code, answer.location) == (303, "/")


def test_a_wrong_password_keeps_the_email_and_shows_an_error(app: Flask) -> None:
    make_user("Ana")
    answer = make_client(app).post(
        "/login", data={"email": "ana@prosa.example", "password": WRONG_PASSWORD}
    )
    assert answer.status_code == 401
    assert 'value="ana@prosa.example"' in answer.text
    assert 'id="password-error"' in answer.text
    assert "E-mail ou senha incorretos." in answer.text
    assert WRONG_PASSWORD not in answer.text


def test_missing_fields_show_errors(app: Flask) -> None:
    answer = make_client(app).post("/login", data={"email": "", "password": ""})
    assert answer.status_code == 422
    assert "Digite o seu e-mail." in answer.text
    assert "Digite a sua senha." in answer.text


def test_the_sixth_attempt_is_refused_even_with_the_right_password(any_app: Flask) -> None:
    user = make_user("Ana")
    client = make_client(any_app)
    assert [post_wrong_password(client) for _ in range(5)] == [401] * 5
    answer = client.sign_in(user)
    assert answer.status_code == 429
    assert 0 < int(answer.headers["Retry-After"]) <= 15 * 60
    assert "Tente de novo em 15 min." in answer.text
    assert not client.is_signed_in()


def test_failures_count_per_address_across_accounts(app: Flask) -> None:
    client = make_client(app)
    assert [post_wrong_password(client, f"x{n}@prosa.example") for n in range(6)] == [401] * 5 + [
        429
    ]
    assert post_wrong_password(make_client(app, "10.0.0.9"), "x9@prosa.example") == 401


def test_after_the_window_attempts_are_counted_from_zero(app: Flask) -> None:
    user = make_user("Ana")
    client = make_client(app)
    assert [post_wrong_password(client) for _ in range(5)] == [401] * 5
    db.session.execute(
        sa.update(FailedSignIn).values(failed_at=clock.now() - timedelta(minutes=15, seconds=1))
    )
    db.session.commit()
    assert client.sign_in(user).status_code == 303


def test_a_success_does_not_reset_the_count(app: Flask) -> None:
    """Otherwise the owner of one account could guess others without limit from one address."""
    user = make_user("Ana")
    client = make_client(app)
    assert [post_wrong_password(client) for _ in range(4)] == [401] * 4
    assert client.sign_in(user).status_code == 303
    client.post("/logout")
    assert [post_wrong_password(client, "bia@prosa.example") for _ in range(2)] == [401, 429]


def test_a_closed_account_cannot_sign_in(app: Flask) -> None:
    user = make_user("Ana")
    user.is_active = False
    db.session.commit()
    assert make_client(app).sign_in(user).status_code == 401


@pytest.mark.parametrize("email", ["a\x00b@c.d", "ana@prosa.example' OR '1'='1", "@", "ü" * 254])
def test_odd_input_is_a_failed_sign_in(any_app: Flask, email: str) -> None:
    assert post_wrong_password(make_client(any_app), email) == 401


def test_a_missing_csrf_token_is_a_400_with_a_message(app: Flask) -> None:
    app.config["WTF_CSRF_ENABLED"] = True
    user = make_user("Ana")
    client = make_client(app)
    answer = client.sign_in(user)
    assert answer.status_code == 400
    assert "recarregue a página" in answer.text
    data = {"email": user.email, "password": "correct horse battery"}
    data["csrf_token"] = csrf_token_in(client.get("/login"))
    assert client.post("/login", data=data).status_code == 303


def test_each_sign_in_is_recorded(app: Flask) -> None:
    _, user = make_signed_in_client(app, Role.MANAGER)
    events = db.session.scalars(sa.select(AuditEvent)).all()
    assert [(event.user_id, event.actor, event.action) for event in events] == [
        (user.id, "ana@prosa.example", "signed_in")
    ]
