from __future__ import annotations

import re
from pathlib import Path

import pytest
from flask import Flask, abort
from flask.typing import ResponseReturnValue

from chatbot.accounts.models import Role
from chatbot.core.db import db
from chatbot.core.errors import Conflict
from tests.support.clients import make_client, make_signed_in_client

INLINE = re.compile(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", re.IGNORECASE)
JINJA = re.compile(r"\{#.*?#\}|\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (400, "Volte e tente de novo"),
        (403, "Você não pode ver esta página"),
        (404, "Não há nada neste endereço"),
        (405, "Isto não pode ser feito aqui"),
        (413, "até 20 MB"),
        (418, "Volte e tente de novo"),
        (429, "Espere um momento"),
        (500, "Algo deu errado do nosso lado"),
        (503, "Algo deu errado do nosso lado"),
    ],
)
def test_each_error_status_has_a_page_with_an_explanation(
    app: Flask, status: int, text: str
) -> None:
    client, _ = make_signed_in_client(app)
    app.view_functions["panel.home"] = lambda: abort(status)
    answer = client.get("/")
    assert (answer.status_code, text in answer.text) == (status, True)
    assert "Voltar ao início" in answer.text


def test_a_crash_is_a_500_page_without_internal_details(app: Flask) -> None:
    def crash() -> ResponseReturnValue:
        raise RuntimeError("secret detail")

    client, _ = make_signed_in_client(app)
    app.view_functions["panel.home"] = crash
    answer = client.get("/")
    assert answer.status_code == 500
    assert "secret detail" not in answer.text


def test_without_the_database_there_is_an_error_page(app: Flask) -> None:
    client, _ = make_signed_in_client(app)
    path = Path(str(db.engine.url.database))
    db.session.rollback()
    db.engine.dispose()
    for file in path.parent.glob("prosa.db*"):
        file.unlink()
    path.mkdir()
    answer = client.get("/")
    assert answer.status_code == 500
    assert "Algo deu errado do nosso lado" in answer.text


def test_an_app_error_keeps_its_message_and_status(app: Flask) -> None:
    def refuse() -> ResponseReturnValue:
        raise Conflict("%(who)s has already taken this conversation.", who="<b>Bia</b>")

    client, _ = make_signed_in_client(app)
    app.view_functions["panel.home"] = refuse
    answer = client.get("/")
    assert answer.status_code == 409
    assert "&lt;b&gt;Bia&lt;/b&gt; já assumiu esta conversa." in answer.text


def test_too_many_requests_get_a_retry_after(app: Flask) -> None:
    client = make_client(app)
    answers = [client.get("/welcome/x") for _ in range(61)]
    assert answers[0].status_code == 404
    assert answers[-1].status_code == 429
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 60
    assert "Espere um momento" in answers[-1].text


def test_a_body_of_more_than_20_mb_is_refused_before_it_is_read(app: Flask) -> None:
    client, _ = make_signed_in_client(app, Role.ADMIN)
    answer = client.post(
        "/users/",
        content_type="application/x-www-form-urlencoded",
        environ_overrides={"CONTENT_LENGTH": str(200 * 1024 * 1024)},
    )
    assert answer.status_code == 413
    assert "até 20 MB" in answer.text


@pytest.mark.parametrize("path", ["/", "/login", "/users/", "/account/", "/redis/", "/nowhere"])
def test_no_page_has_inline_script_or_style_and_all_have_the_policy(app: Flask, path: str) -> None:
    client, _ = make_signed_in_client(app, Role.ADMIN)
    answer = (make_client(app) if path == "/login" else client).get(path)
    assert INLINE.findall(answer.text) == []
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'self'; img-src")
    assert answer.headers["Cache-Control"] == "no-store"
    assert "://" not in re.sub(r'xmlns="[^"]+"', "", answer.text)


def test_templates_hold_no_inline_script_or_style() -> None:
    folder = Path(__file__).parents[2] / "chatbot" / "templates"
    for path in sorted(folder.rglob("*.html")):
        assert INLINE.findall(JINJA.sub("", path.read_text())) == [], path
