"""Nobody locks an account's user out, and nobody guesses on: not a stranger, a botnet or one IPv6 network."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskCliRunner

from chatbot.accounts import devices
from chatbot.accounts.models import FailedSignIn, KnownNetwork, User
from chatbot.accounts.sign_in_limits import KNOWN_FOR, MAX_FAILURES, MAX_FAILURES_OF_STRANGERS
from chatbot.core import clock
from chatbot.core.db import db
from chatbot.ops.housekeeping import delete_expired
from tests.support.clients import PanelClient, make_client
from tests.support.panel import make_user

HOME, OFFICE, ELSEWHERE = "198.51.100.7", "198.51.100.8", "192.0.2.9"


def guess(client: PanelClient, user: User | str = "ana@prosa.example") -> int:
    email = user if isinstance(user, str) else user.email
    return client.post("/login", data={"email": email, "password": "a wrong one"}).status_code


def attack(app: Flask, guesses: int = MAX_FAILURES_OF_STRANGERS + 2) -> list[int]:
    """Guess the password of one account, each time from another network."""
    return [guess(make_client(app, f"203.0.113.{number}")) for number in range(guesses)]


def sign_in_and_out(client: PanelClient, user: User) -> None:
    assert client.sign_in(user).status_code == 303
    client.post("/logout")


def test_a_stranger_does_not_lock_the_user_out(any_app: Flask) -> None:
    user = make_user("Ana")
    stranger = make_client(any_app, ELSEWHERE)
    assert [guess(stranger) for _ in range(MAX_FAILURES + 1)] == [401] * MAX_FAILURES + [429]
    assert stranger.sign_in(user).status_code == 429
    assert make_client(any_app, HOME).sign_in(user).status_code == 303


def test_a_botnet_can_not_guess_on(any_app: Flask) -> None:
    user = make_user("Ana")
    assert attack(any_app) == [401] * MAX_FAILURES_OF_STRANGERS + [429, 429]
    answer = make_client(any_app, ELSEWHERE).sign_in(user)
    assert answer.status_code == 429
    assert 0 < int(answer.headers["Retry-After"]) <= 15 * 60


def test_a_known_device_passes_an_attack_from_everywhere(any_app: Flask) -> None:
    user = make_user("Ana")
    client = make_client(any_app, HOME)
    sign_in_and_out(client, user)
    attack(any_app)
    client.environ_base["REMOTE_ADDR"] = ELSEWHERE
    assert client.sign_in(user).status_code == 303


def test_a_known_device_passes_a_stranger_in_its_own_network(app: Flask) -> None:
    user = make_user("Ana")
    client, stranger = make_client(app, OFFICE), make_client(app, OFFICE)
    sign_in_and_out(client, user)
    assert [guess(stranger) for _ in range(MAX_FAILURES)] == [401] * MAX_FAILURES
    assert stranger.sign_in(user).status_code == 429
    assert client.sign_in(user).status_code == 303


def test_a_known_network_passes_an_attack_from_everywhere(any_app: Flask) -> None:
    user = make_user("Ana")
    sign_in_and_out(make_client(any_app, HOME), user)
    attack(any_app)
    assert make_client(any_app, HOME).sign_in(user).status_code == 303


def test_a_known_network_of_one_user_is_strange_to_another(app: Flask) -> None:
    sign_in_and_out(make_client(app, ELSEWHERE), make_user("Bia"))
    make_user("Ana")
    attack(app)
    assert guess(make_client(app, ELSEWHERE)) == 429


def test_a_known_device_may_not_guess_without_end(app: Flask) -> None:
    user = make_user("Ana")
    client = make_client(app, HOME)
    sign_in_and_out(client, user)
    assert [guess(client) for _ in range(MAX_FAILURES + 1)] == [401] * MAX_FAILURES + [429]
    assert client.sign_in(user).status_code == 429


def test_a_device_is_known_only_for_its_users(app: Flask) -> None:
    bia = make_client(app, ELSEWHERE)
    sign_in_and_out(bia, make_user("Bia"))
    make_user("Ana")
    attack(app)
    assert guess(bia) == 429


def test_a_shared_device_is_known_for_all_its_users(app: Flask) -> None:
    client, users = make_client(app, HOME), [make_user("Ana"), make_user("Bia")]
    for user in users:
        sign_in_and_out(client, user)
    attack(app)
    client.environ_base["REMOTE_ADDR"] = ELSEWHERE
    assert client.sign_in(users[0]).status_code == 303


@pytest.mark.parametrize("cookie", ["", "x", "W10.aa.bb", "é" * 300])
def test_a_forged_device_is_unknown(app: Flask, cookie: str) -> None:
    make_user("Ana")
    attack(app)
    client = make_client(app, ELSEWHERE)
    client.set_cookie(devices.COOKIE, cookie)
    assert guess(client) == 429


def test_the_cookie_of_a_device_is_private_and_signs_nobody_in(app: Flask) -> None:
    user = make_user("Ana")
    app.config["SESSION_COOKIE_SECURE"] = True
    answer = make_client(app).sign_in(user)
    (cookie,) = [c for c in answer.headers.getlist("Set-Cookie") if c.startswith(devices.COOKIE)]
    assert all(part in cookie for part in ("HttpOnly", "SameSite=Lax", "Secure"))
    client = make_client(app)
    client.set_cookie(devices.COOKIE, cookie.partition("=")[2].partition(";")[0])
    assert not client.is_signed_in()


def test_a_network_of_ipv6_is_counted_as_one(any_app: Flask) -> None:
    make_user("Ana")
    addresses = [f"2001:db8:1:2:{number:x}::{number:x}" for number in range(1, 41)]
    codes = [guess(make_client(any_app, address)) for address in addresses]
    assert codes == [401] * MAX_FAILURES + [429] * (40 - MAX_FAILURES)


def test_unlock_lets_the_user_try_again_at_once(app: Flask, runner: FlaskCliRunner) -> None:
    user = make_user("Ana")
    client = make_client(app, HOME)
    assert [guess(client) for _ in range(MAX_FAILURES)] == [401] * MAX_FAILURES
    attack(app)
    db.session.rollback()
    result = runner.invoke(args=["accounts", "unlock", f" {user.email.upper()}"])
    assert result.exit_code == 0, result.output
    assert "ana@prosa.example can sign in again (20 failed attempts forgotten)." in result.output
    assert client.sign_in(user).status_code == 303


def test_unlock_of_an_unknown_user_is_an_error(app: Flask, runner: FlaskCliRunner) -> None:
    result = runner.invoke(args=["accounts", "unlock", "nobody@prosa.example"])
    assert result.exit_code == 1
    assert "There is no user with the e-mail nobody@prosa.example." in result.output


def test_a_network_is_forgotten_90_days_after_its_last_sign_in(app: Flask) -> None:
    user = make_user("Ana")
    sign_in_and_out(make_client(app, HOME), user)
    sign_in_and_out(make_client(app, OFFICE), user)
    db.session.execute(
        sa.update(KnownNetwork)
        .where(KnownNetwork.network == OFFICE)
        .values(seen_at=clock.now() - KNOWN_FOR - timedelta(seconds=1))
    )
    db.session.commit()
    attack(app)
    assert guess(make_client(app, OFFICE)) == 429
    delete_expired()
    assert db.session.scalars(sa.select(KnownNetwork.network)).all() == [HOME]
    assert db.session.scalar(sa.select(sa.func.count()).select_from(FailedSignIn)) == 20
