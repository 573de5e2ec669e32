"""Stored settings win over the environment, in every process, and two editors do not overwrite each other."""

from __future__ import annotations

import asyncio
from io import BytesIO
from pathlib import Path
from typing import cast

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient, FlaskCliRunner
from werkzeug.test import TestResponse

from chatbot import create_app
from chatbot.accounts.models import Role
from chatbot.campaigns import tasks as campaign_tasks
from chatbot.company import service
from chatbot.company.logo import get_logo_version
from chatbot.company.models import SettingChange
from chatbot.company.service import SettingsConflict, change_settings, list_settings
from chatbot.core.db import db
from chatbot.core.errors import InvalidInput
from chatbot.delivery.sender import Sender
from chatbot.extensions import get_settings
from sending_week import parse_week
from tests.support.panel import sign_in
from tests.support.redis_server import RedisServer
from tests.support.settings import make_settings

ME = "gestor@ventosul.example"


@pytest.fixture(autouse=True)
def refreshes_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "REFRESH_S", 0.0)


def change(**texts: str) -> list[str]:
    changed = change_settings(texts, ME)
    db.session.commit()
    return changed


def test_the_environment_holds_until_somebody_changes_it(any_app: Flask) -> None:
    assert list_settings()["COMPANY_NAME"].text == get_settings(any_app).company_name
    assert change(COMPANY_NAME="  Colégio\u200b Aurora ", MESSAGES_PER_SECOND="20") == [
        "COMPANY_NAME",
        "MESSAGES_PER_SECOND",
    ]
    now = get_settings(any_app)
    assert (now.company_name, now.messages_per_second) == ("Colégio Aurora", 20)
    assert list_settings()["COMPANY_NAME"].changed_by == ME
    assert change(COMPANY_NAME="Colégio Aurora") == [], "the same value is no change"
    history = db.session.scalars(sa.select(SettingChange.name).order_by(SettingChange.id)).all()
    assert history == ["COMPANY_NAME", "MESSAGES_PER_SECOND"]


def test_another_process_sees_a_change_with_redis_and_without(
    app: Flask, sqlite_url: str, tmp_path: Path, redis_server: RedisServer
) -> None:
    settings = make_settings(tmp_path, DATABASE_URL=sqlite_url, REDIS_URL=redis_server.url)
    other = create_app(settings)
    with other.app_context():
        assert get_settings(other).company_name == "Vento Sul Fibra"
    change(COMPANY_NAME="Clínica Boa Vista")
    with other.app_context():
        assert get_settings(other).company_name == "Clínica Boa Vista"
    redis_server.kill()
    change(COMPANY_NAME="Clínica Boa Vida")
    with other.app_context():
        assert get_settings(other).company_name == "Clínica Boa Vida"
        db.engine.dispose()
    other.extensions["prosa_metrics"].stop()
    other.extensions["prosa_redis"].pool.disconnect()


def test_without_the_database_the_last_settings_hold(app: Flask, redis_server: RedisServer) -> None:
    change(COMPANY_NAME="Escola Nova")
    assert get_settings(app).company_name == "Escola Nova"
    redis_server.kill()
    db.session.execute(sa.text("DROP TABLE settings"))
    db.session.commit()
    assert get_settings(app).company_name == "Escola Nova"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("COMPANY_NAME", " \u200b "),
        ("COMPANY_NAME", "x" * 101),
        ("COMPANY_TAX_ID", "11.222.333/0001-82"),
        ("COMPANY_TAX_ID", "529.982.247-25"),  # a valid CPF is no CNPJ
        ("SENDING_HOURS", "mon-fri 08:00-12:00, wed 11:00-13:00"),
        ("SENDING_HOURS", "sempre"),
        ("SENDING_HOLIDAYS", "BR-XX"),
        ("SENDING_DAYS_OFF", "24/12/2026"),
        ("MESSAGES_PER_SECOND", "0"),
        ("MESSAGES_PER_SECOND", ""),
        ("PROSA_LOCALE", "fr"),
        ("SECRET_KEY", "x" * 40),
    ],
)
def test_a_wrong_text_is_refused_by_name_and_nothing_is_stored(
    app: Flask, name: str, text: str
) -> None:
    with pytest.raises(InvalidInput) as refusal:
        change_settings({"COMPANY_ADDRESS": "Rua A", name: text}, ME)
    assert refusal.value.field == name
    db.session.rollback()
    assert db.session.scalar(sa.select(sa.func.count()).select_from(SettingChange)) == 0


def test_texts_are_stored_in_one_form(app: Flask) -> None:
    change(COMPANY_TAX_ID="11222333000181", SENDING_HOURS="seg-sex 9:00-18:00")
    views = list_settings()
    assert views["COMPANY_TAX_ID"].text == "11.222.333/0001-81"
    assert views["SENDING_HOURS"].text == "mon-fri 09:00-18:00"
    assert get_settings(app).sending_hours == parse_week("mon-fri 09:00-18:00")
    assert change(SENDING_HOURS="mon-fri 09:00-18:00") == []


def test_the_second_of_two_editors_sees_both_versions(any_app: Flask) -> None:
    seen = {name: view.text for name, view in list_settings().items()}
    change_settings({"COMPANY_NAME": "Primeira"}, "ana@example.com", seen=seen)
    db.session.commit()
    # Other fields as they were: only what this editor touched can conflict.
    change_settings({**seen, "COMPANY_ADDRESS": "Rua B, 2"}, "bia@example.com", seen=seen)
    db.session.commit()
    assert list_settings()["COMPANY_NAME"].text == "Primeira"
    with pytest.raises(SettingsConflict) as conflict:
        change_settings({"COMPANY_NAME": "Segunda"}, "bia@example.com", seen=seen)
    db.session.rollback()
    theirs = conflict.value.theirs["COMPANY_NAME"]
    assert (theirs.text, theirs.changed_by) == ("Primeira", "ana@example.com")


def test_the_page_saves_refuses_and_shows_a_conflict(app: Flask) -> None:
    client = sign_in(app, role=Role.ADMIN)
    page = client.get("/settings/").text
    assert "Configurações" in page
    assert "Feriados nacionais" in page
    texts = {name: view.text for name, view in list_settings().items()}
    seen = {f"seen_{name}": text for name, text in texts.items()}
    wrong = client.post("/settings/", data={**texts, **seen, "SENDING_HOURS": "toda hora"})
    assert (wrong.status_code, "toda hora" in wrong.text) == (422, True)
    saved = client.post(
        "/settings/", data={**texts, **seen, "SENDING_HOURS": "seg-sex 08:00-12:00"}
    )
    assert saved.status_code == 303
    assert 'value="seg-sex 08:00-12:00"' in client.get("/settings/").text
    late = client.post("/settings/", data={**texts, **seen, "SENDING_HOURS": "sáb 08:00-12:00"})
    assert late.status_code == 409
    assert "seg-sex 08:00-12:00" in late.text
    assert "sáb 08:00-12:00" in late.text


def test_only_administrators_change_settings(app: Flask) -> None:
    assert sign_in(app, role=Role.MANAGER).get("/settings/").status_code == 403


PNG = b"\x89PNG\r\n\x1a\n" + b"\x00" * 50


def test_a_logo_is_shown_to_everybody_and_its_address_changes_with_it(app: Flask) -> None:
    client = sign_in(app, role=Role.ADMIN)
    anonymous = app.test_client()
    assert anonymous.get("/logo").status_code == 404
    for content in (b"", b"<svg onload=alert(1)>", PNG + b"\x00" * 300_000):
        assert _upload(client, content).status_code == 422
    assert _upload(client, PNG).status_code == 303
    address = f"/logo?v={get_logo_version()}"
    assert address in anonymous.get("/login").text
    shown = anonymous.get(address)
    assert (shown.data, shown.content_type) == (PNG, "image/png")
    assert "immutable" in shown.headers["Cache-Control"]
    assert client.post("/settings/logo/delete").status_code == 303
    assert "/logo?v=" not in client.get("/settings/").text


def _upload(client: FlaskClient, content: bytes) -> TestResponse:
    data = {"logo": (BytesIO(content), "logo.png")}
    return client.post("/settings/logo", data=data, content_type="multipart/form-data")


def test_the_command_line_lists_gets_and_sets(runner: FlaskCliRunner, app: Flask) -> None:
    assert "COMPANY_NAME=Vento Sul Fibra" in runner.invoke(args=["settings", "list"]).output
    done = runner.invoke(args=["settings", "set", "company_name", "Loja Sol"])
    assert (done.exit_code, done.output) == (0, "COMPANY_NAME is changed.\n")
    assert runner.invoke(args=["settings", "get", "COMPANY_NAME"]).output == "Loja Sol\n"
    assert "changed by flask settings" in runner.invoke(args=["settings", "list"]).output
    wrong = runner.invoke(args=["settings", "set", "MESSAGES_PER_SECOND", "many"])
    assert wrong.exit_code == 1
    assert "MESSAGES_PER_SECOND: Enter a whole number from 1 to 1000." in wrong.output
    assert runner.invoke(args=["settings", "get", "SECRET_KEY"]).exit_code == 1


def test_the_version_is_the_same_everywhere(runner: FlaskCliRunner, app: Flask) -> None:
    version = runner.invoke(args=["prosa", "version"]).output.strip()
    assert app.test_client().get("/health").json["version"] == version
    assert f"Prosa {version}" in sign_in(app, role=Role.AGENT).get("/").text


class WaitingSender:
    """A sender that runs until it is told to stop."""

    def __init__(self) -> None:
        self._stopped = asyncio.Event()
        self.started = asyncio.Event()

    def stop(self) -> None:
        self._stopped.set()

    async def run(self, _seconds: float) -> int:
        self.started.set()
        await self._stopped.wait()
        return 0


def test_a_running_campaign_begins_again_with_a_changed_pace(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(campaign_tasks, "SETTINGS_CHECK_S", 0.01)
    sender = WaitingSender()
    before = get_settings(app)

    async def run_while_the_pace_changes() -> bool:
        sending = asyncio.create_task(
            campaign_tasks._send_until_settings_change(cast(Sender, sender), before)
        )
        await sender.started.wait()
        await asyncio.sleep(0.05)
        still_sends = not sending.done()
        change(MESSAGES_PER_SECOND="5")
        await asyncio.wait_for(sending, 30)
        return still_sends

    assert asyncio.run(run_while_the_pace_changes())
    assert get_settings(app).messages_per_second == 5
