"""Nothing that is secret or personal is logged when requests fail, whatever table can't be written."""

from __future__ import annotations

import io
import logging
import runpy
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask
from gunicorn.config import Config as GunicornConfig

from chatbot.accounts.invitations import create_link
from chatbot.accounts.models import PasswordLink, Role, User
from chatbot.brazil.phone import parse_phone
from chatbot.contacts.imports.csv_reader import ContactRow
from chatbot.contacts.imports.staging import create_staging_table
from chatbot.core.db import db, is_postgresql
from chatbot.core.log import RedactingFormatter, list_secrets, redact
from config import ROOT
from tests.support.clients import PanelClient, make_client, make_signed_in_client
from tests.support.factories import make_message_value, make_webhook_body, signature_headers
from tests.support.panel import PASSWORD, make_contact, make_user
from tests.support.settings import SECRETS, environment, make_settings

NAME, PHONE, EMAIL, TEXT = "Zuleica Quaresma", "5511987659876", "zq@cliente.example", "meu segredo"
NEW_PASSWORD = "a-new-long-password"


@pytest.fixture
def log_text(any_app: Flask) -> io.StringIO:
    """Collect what the application's own handler writes."""
    found = io.StringIO()
    (handler,) = logging.getLogger().handlers[:1]
    assert isinstance(handler, logging.StreamHandler)
    assert isinstance(handler.formatter, RedactingFormatter)
    handler.setStream(found)
    any_app.config["PROPAGATE_EXCEPTIONS"] = False
    return found


@contextmanager
def unwritable(table: str) -> Iterator[None]:
    """Let the database refuse all writes to a table; PostgreSQL quotes the whole row in its message."""
    if is_postgresql(db.engine):
        begin = [f"ALTER TABLE {table} ADD CONSTRAINT refused CHECK (false) NOT VALID"]
        end = [f"ALTER TABLE {table} DROP CONSTRAINT refused"]
    else:
        events = ("INSERT", "UPDATE")
        begin = [
            f"CREATE TRIGGER refused_{event} BEFORE {event} ON {table} "
            "BEGIN SELECT RAISE(ABORT, 'refused'); END"
            for event in events
        ]
        end = [f"DROP TRIGGER refused_{event}" for event in events]
    _execute(begin)
    try:
        yield
    finally:
        _execute(end)


def _execute(statements: list[str]) -> None:
    db.session.rollback()
    with db.engine.begin() as connection:
        for statement in statements:
            connection.execute(sa.text(statement))


def make_token(user: User) -> str:
    token = create_link(user, user)
    db.session.commit()
    return token


def assert_logged_without(log_text: io.StringIO, *secrets: str) -> None:
    logged = log_text.getvalue()
    assert "Traceback" in logged
    assert [secret for secret in (*secrets, "$argon2") if secret in logged] == []


@pytest.mark.parametrize("table", ["users", "password_links", "stored_sessions", "audit_events"])
def test_a_failed_choice_of_a_password_logs_no_token_and_no_hash(
    any_app: Flask, log_text: io.StringIO, table: str
) -> None:
    user = make_user("Ana")
    token = make_token(user)
    link = db.session.scalars(sa.select(PasswordLink)).one()
    secrets = [token, link.token_hash, user.email, NEW_PASSWORD]
    form = {"password": NEW_PASSWORD, "repeated": NEW_PASSWORD}
    with unwritable(table):
        assert make_client(any_app).post(f"/welcome/{token}", data=form).status_code == 500
    assert_logged_without(log_text, *secrets)
    assert "POST /welcome/<token>" in log_text.getvalue()


@pytest.mark.parametrize("table", ["stored_sessions", "audit_events", "failed_sign_ins"])
def test_a_failed_sign_in_logs_neither_password_nor_address(
    any_app: Flask, log_text: io.StringIO, table: str
) -> None:
    user = make_user("Ana")
    email = user.email
    password = "the-wrong-one" if table == "failed_sign_ins" else PASSWORD
    client = make_client(any_app, "203.0.113.77")
    with unwritable(table):
        answer = client.post("/login", data={"email": email, "password": password})
    assert answer.status_code == 500
    assert_logged_without(log_text, email, password, "203.0.113.77")


def test_a_failed_invitation_logs_no_token_and_no_person(
    any_app: Flask, log_text: io.StringIO
) -> None:
    admin, _ = make_signed_in_client(any_app, Role.ADMIN)
    with unwritable("password_links"):
        answer = admin.post("/users/", data={"name": NAME, "email": EMAIL, "role": "agent"})
    assert answer.status_code == 500
    assert_logged_without(log_text, NAME, EMAIL)


@pytest.mark.parametrize("table", ["contacts", "contact_tags"])
def test_a_failed_change_of_a_contact_logs_no_person(
    any_app: Flask, log_text: io.StringIO, table: str
) -> None:
    client, _ = make_signed_in_client(any_app)
    contact_id = make_contact("Outra Pessoa", PHONE).id
    form = {"name": NAME, "email": EMAIL, "tags": "inadimplente"}
    with unwritable(table):
        answer = client.post(f"/contacts/{contact_id}/edit", data=form)
    assert answer.status_code == 500
    assert_logged_without(log_text, NAME, EMAIL, "Outra Pessoa", PHONE, "inadimplente")


def test_a_webhook_that_is_not_stored_logs_no_message(
    any_app: Flask, log_text: io.StringIO
) -> None:
    raw = make_webhook_body(make_message_value(TEXT, sender=PHONE))
    client = PanelClient(any_app, any_app.response_class)
    with unwritable("webhook_bodies"):
        answer = client.post("/webhooks/whatsapp", data=raw, headers=signature_headers(raw))
    assert answer.status_code == 503
    assert_logged_without(log_text, TEXT, PHONE)


def test_a_failed_import_names_no_contact_in_its_error(any_app: Flask) -> None:
    row = ContactRow(
        line=1,
        phone=parse_phone(PHONE),
        name=NAME,
        document="52998224725",
        email=EMAIL,
        tags=(),
        opt_in=False,
        attributes={},
    )
    with (
        db.engine.connect() as connection,
        pytest.raises((sa.exc.DBAPIError, db.engine.dialect.loaded_dbapi.Error)) as error,
    ):
        create_staging_table(connection, [row, row])
    said = "".join(traceback.format_exception(error.value))
    assert [part for part in (PHONE, NAME, "52998224725", EMAIL) if part in said] == []


def test_no_secret_of_the_settings_is_logged_or_in_their_text(tmp_path: Path) -> None:
    given = {
        **SECRETS,
        "SUPPRESSION_KEY": "suppression-" * 4,
        "SECRET_KEY_FALLBACKS": "former-key-" * 4,
        "WHATSAPP_APP_SECRET_PREVIOUS": "former-app-secret",
        "METRICS_TOKEN": "metrics-token",
        "DATABASE_URL": "postgresql://prosa:database%20password@db.example/prosa",
        "REDIS_URL": "redis://:redis-password@redis.example:6379/0",
        "ALERT_URLS": "tgram://bot-token/chat",
    }
    settings = make_settings(tmp_path, **given)
    names = {field.name for field in fields(settings) if not field.repr}
    words = ("secret", "token", "key", "url")
    assert names >= {
        field.name
        for field in fields(settings)
        if any(word in field.name for word in words) and field.name != "whatsapp_api_url"
    }
    formatter = RedactingFormatter("%(message)s", secrets=list_secrets(settings))
    said = " ".join([*given.values(), "database password"])
    text = formatter.format(logging.makeLogRecord({"msg": said}))
    for secret in (*list_secrets(settings), "bot-token", "redis-password", "database password"):
        assert secret not in text
        assert secret not in repr(settings)
    assert given["WHATSAPP_PHONE_NUMBER_ID"] in repr(settings)


@pytest.mark.parametrize(
    ("said", "logged"),
    [
        ("Authorization: Bearer EAAG-x.y", "Authorization: Bearer ***"),
        ("GET /welcome/abc-DEF?x HTTP/9", "GET /welcome/***?x HTTP/9"),
        ("rule /welcome/<token>", "rule /welcome/<token>"),
        ("hash '$argon2id$v=19$m=64,t=1,p=1$c2Fs$aGFzaA'", "hash '***'"),
        ("mail of ana.souza@cliente.com.br", "mail of a***@cliente.com.br"),
        ("CPF 529.982.247-25", "CPF 52***25"),
        ("CNPJ 11.222.333/0001-81", "CNPJ 11***81"),
        ("call (11) 98765-4321", "call 11***21"),
        ("wa_id 5511987654321", "wa_id 55***21"),
        ("id wamid.HBgNNTUxMTk4NzY1NDMyMRUCABIYFjNFQjA=", "id wamid.***"),
        ("key 0123456789abcdef0123456789abcdef", "key ***"),
        ("cookie 0Zq8-cXv_9aBcDeFgHiJkLmNoPqRsTuV", "cookie ***"),
        ("test_exactly_five_failures_are_allowed", "test_exactly_five_failures_are_allowed"),
        ("at 2026-11-30T19:00:05, 24 rows", "at 2026-11-30T19:00:05, 24 rows"),
    ],
)
def test_secrets_are_known_by_their_form(said: str, logged: str) -> None:
    assert redact(said) == logged


def test_gunicorn_logs_wrong_requests_redacted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    logger = runpy.run_path(str(ROOT / "gunicorn.conf.py"))["logger_class"](GunicornConfig())
    said = f"GET /welcome/abc-DEF HTTP/9 {SECRETS['WHATSAPP_TOKEN']}"
    logger.warning("Invalid request: %s", said)
    assert "GET /welcome/*** HTTP/9 ***" in capsys.readouterr().err
