from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import sqlalchemy as sa
from flask import Flask

from chatbot.accounts import service, users
from chatbot.accounts.models import AuditEvent, PasswordLink, Role, User
from chatbot.core import clock
from chatbot.core.db import db
from chatbot.core.errors import Conflict
from chatbot.core.sessions import StoredSession
from tests.support.clients import PanelClient, make_client, make_signed_in_client
from tests.support.panel import make_user

NEW_PASSWORD = "a new long password"


def invite(admin: PanelClient, email: str = "bia@prosa.example", role: str = "agent") -> str:
    """Invite a user and return the path of the link shown to the administrator."""
    answer = admin.post("/users/", data={"name": "Bia", "email": email, "role": role})
    assert answer.status_code == 200, answer.text
    found = re.search(r'value="http://localhost(/welcome/[^"]+)"', answer.text)
    assert found
    return found[1]


def choose_password(client: PanelClient, path: str, password: str = NEW_PASSWORD) -> int:
    return client.post(path, data={"password": password, "repeated": password}).status_code


def get_user_by_email(email: str = "bia@prosa.example") -> User:
    db.session.rollback()
    found = service.find_user(email)
    assert found is not None
    return found


def test_an_invited_user_chooses_a_password_once(any_app: Flask) -> None:
    admin, _ = make_signed_in_client(any_app, Role.ADMIN)
    path = invite(admin, role="manager")
    bia = make_client(any_app)
    assert bia.sign_in(get_user_by_email()).status_code == 401
    page = bia.get(path)
    assert page.status_code == 200
    assert "Boas-vindas, Bia" in page.text
    assert choose_password(bia, path) == 303
    assert bia.is_signed_in()
    assert get_user_by_email().role == Role.MANAGER
    assert make_client(any_app).get(path).status_code == 404
    assert choose_password(make_client(any_app), path, "another password") == 404
    assert make_client(any_app).sign_in(get_user_by_email(), NEW_PASSWORD).status_code == 303


def test_white_space_around_a_pasted_link_and_password_is_ignored(app: Flask) -> None:
    path = invite(make_signed_in_client(app, Role.ADMIN)[0])
    assert choose_password(make_client(app), f"{path}%20%0A", f" {NEW_PASSWORD}\t") == 303
    for typed in (NEW_PASSWORD, f"{NEW_PASSWORD} "):
        assert make_client(app).sign_in(get_user_by_email(), typed).status_code == 303


def test_white_space_does_not_make_a_password_long_enough(app: Flask) -> None:
    path = invite(make_signed_in_client(app, Role.ADMIN)[0])
    assert choose_password(make_client(app), path, "short" + 10 * " ") == 422


def test_a_refused_password_does_not_use_the_link(app: Flask) -> None:
    path = invite(make_signed_in_client(app, Role.ADMIN)[0])
    assert choose_password(make_client(app), path, "short") == 422
    assert choose_password(make_client(app), path) == 303


def test_a_link_expires_after_48_hours(app: Flask) -> None:
    path = invite(make_signed_in_client(app, Role.ADMIN)[0])
    link = db.session.scalars(sa.select(PasswordLink)).one()
    assert timedelta(hours=47) < link.expires_at - clock.now() <= timedelta(hours=48)
    link.expires_at = clock.now() - timedelta(seconds=1)
    db.session.commit()
    answer = make_client(app).get(path)
    assert answer.status_code == 404
    assert "Este link não vale mais" in answer.text
    assert choose_password(make_client(app), path) == 404


def test_a_new_link_revokes_the_old_one(app: Flask) -> None:
    admin, _ = make_signed_in_client(app, Role.ADMIN)
    old = invite(admin)
    answer = admin.post(f"/users/{get_user_by_email().id}/link")
    new = re.search(r"/welcome/[\w-]+", answer.text)
    assert new
    assert choose_password(make_client(app), old) == 404
    assert choose_password(make_client(app), new[0]) == 303


def test_the_token_is_not_stored_in_sql(app: Flask) -> None:
    token = invite(make_signed_in_client(app, Role.ADMIN)[0]).rpartition("/")[2]
    link = db.session.scalars(sa.select(PasswordLink)).one()
    assert token not in link.token_hash
    sessions = db.session.scalars(sa.select(StoredSession.data)).all()
    assert sessions
    assert all(token.encode() not in data for data in sessions)


def test_concurrent_uses_of_a_link_set_one_password(any_app: Flask) -> None:
    path = invite(make_signed_in_client(any_app, Role.ADMIN)[0])
    clients = [make_client(any_app) for _ in range(6)]
    passwords = [f"a long password {number}" for number in range(6)]
    with ThreadPoolExecutor(6) as pool:
        answers = list(
            pool.map(lambda n: choose_password_in_thread(clients[n], path, passwords[n]), range(6))
        )
    assert sorted(answers) == [303] + [404] * 5
    winner = passwords[answers.index(303)]
    assert make_client(any_app).sign_in(get_user_by_email(), winner).status_code == 303


def choose_password_in_thread(client: PanelClient, path: str, password: str) -> int:
    """Call `choose_password` from a thread, which has no open transaction of the test."""
    data = {"password": password, "repeated": password}
    return super(PanelClient, client).open(path, method="POST", data=data).status_code


def test_closing_an_account_signs_it_out_and_reopening_lets_it_sign_in(app: Flask) -> None:
    admin, _ = make_signed_in_client(app, Role.ADMIN)
    bia, user = make_signed_in_client(app, Role.AGENT, "Bia")
    user_id = user.id
    assert admin.post(f"/users/{user_id}/close").status_code == 303
    assert not bia.is_signed_in()
    assert bia.sign_in(user).status_code == 401
    assert admin.post(f"/users/{user_id}/link").status_code == 409
    assert admin.post(f"/users/{user_id}/open").status_code == 303
    assert not bia.is_signed_in()
    assert bia.sign_in(user).status_code == 303


def test_closing_an_account_revokes_its_invitation(app: Flask) -> None:
    admin, _ = make_signed_in_client(app, Role.ADMIN)
    path = invite(admin)
    user_id = get_user_by_email().id
    admin.post(f"/users/{user_id}/close")
    admin.post(f"/users/{user_id}/open")
    assert choose_password(make_client(app), path) == 404


def test_a_new_role_applies_from_the_next_request(app: Flask) -> None:
    admin, _ = make_signed_in_client(app, Role.ADMIN)
    bia, user = make_signed_in_client(app, Role.AGENT, "Bia")
    assert bia.get("/redis/").status_code == 403
    admin.post(f"/users/{user.id}/role", data={"role": "manager"})
    assert bia.get("/redis/").status_code == 200
    admin.post(f"/users/{user.id}/role", data={"role": "king"})
    assert get_user_by_email(user.email).role == Role.MANAGER


def test_the_last_administrator_cannot_be_removed(app: Flask) -> None:
    admin, user = make_signed_in_client(app, Role.ADMIN)
    answer = admin.post(f"/users/{user.id}/role", data={"role": "agent"})
    assert answer.status_code == 409
    assert "Este é o último administrador" in answer.text
    answer = admin.post(f"/users/{user.id}/close")
    assert answer.status_code == 409
    assert "Você não pode encerrar a própria conta" in answer.text
    assert admin.is_signed_in()


def test_two_administrators_cannot_demote_each_other_concurrently(
    any_app: Flask,
) -> None:
    ids = [make_user(name, Role.ADMIN).id for name in ("Ana", "Bia")]
    db.session.rollback()

    def demote(user_id: int, by_id: int) -> bool:
        with any_app.app_context():
            by = db.session.get(User, by_id)
            assert by is not None
            try:
                users.change_role(users.get_user_for_update(user_id), Role.AGENT, by)
                db.session.commit()
            except Conflict:
                return False
            return True

    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(demote, ids, reversed(ids)))
    assert sorted(done) == [False, True]


def test_invalid_input_stays_in_the_form_with_an_error(app: Flask) -> None:
    admin, user = make_signed_in_client(app, Role.ADMIN)
    for email, status, sentence in (
        ("no address", 422, "Isto não é um endereço de e-mail."),
        (user.email.upper(), 409, "Já existe um usuário com este e-mail."),
        ("", 422, "Digite um e-mail."),
    ):
        answer = admin.post("/users/", data={"name": "Bia", "email": email, "role": "agent"})
        assert (answer.status_code, sentence in answer.text) == (status, True)
        assert 'value="Bia"' in answer.text


@pytest.mark.parametrize("path", ["link", "role", "close", "open"])
def test_an_unknown_user_is_a_404(app: Flask, path: str) -> None:
    admin, _ = make_signed_in_client(app, Role.ADMIN)
    assert admin.post(f"/users/999/{path}", data={"role": "agent"}).status_code == 404


def test_markup_in_a_name_is_escaped(app: Flask) -> None:
    admin, _ = make_signed_in_client(app, Role.ADMIN)
    name = "<script>alert(1)</script>"
    admin.post("/users/", data={"name": name, "email": "x@y.z", "role": "agent"})
    page = admin.get("/users/").text
    assert name not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_actions_on_accounts_are_recorded_with_their_actor(app: Flask) -> None:
    admin, user = make_signed_in_client(app, Role.ADMIN)
    path = invite(admin)
    bia_id = get_user_by_email().id
    choose_password(make_client(app), path)
    admin.post(f"/users/{bia_id}/role", data={"role": "manager"})
    admin.post(f"/users/{bia_id}/close")
    admin.post(f"/users/{bia_id}/open")
    events = db.session.scalars(sa.select(AuditEvent).order_by(AuditEvent.id)).all()
    assert [(event.actor, event.action, event.subject) for event in events] == [
        (user.email, "signed_in", ""),
        (user.email, "user_created", "bia@prosa.example (agent)"),
        (user.email, "link_made", "bia@prosa.example"),
        ("bia@prosa.example", "password_chosen", "bia@prosa.example"),
        (user.email, "role_changed", "bia@prosa.example: agent → manager"),
        (user.email, "user_closed", "bia@prosa.example"),
        (user.email, "user_opened", "bia@prosa.example"),
    ]
    page = admin.get("/users/").text
    assert "criou o usuário bia@prosa.example (Atendente)" in page
