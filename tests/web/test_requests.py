"""What no column can hold is stopped at the edge, on each database."""

from __future__ import annotations

import io
from typing import Any

import pytest
from flask import Flask

from chatbot.accounts.models import Role
from chatbot.contacts.models import Contact
from chatbot.contacts.queries import list_tags_by_contact
from chatbot.core.db import db
from chatbot.core.pagination import MAX_ROW_ID
from chatbot.segments.models import Segment
from tests.support.clients import make_signed_in_client
from tests.support.factories import make_contact

NUL, HALF = "\x00", "\ud800"
BEYOND = (2**31, 2**63 - 1, 2**63, 10**30)


def test_nul_in_an_argument_is_no_error(any_app: Flask) -> None:
    client, _ = make_signed_in_client(any_app, Role.ADMIN)
    for path in (
        "/contacts/?q=an%00a&tag=v%00ip&after=a%00~1",
        "/conversations/?q=%00an%00a",
        "/conversations/rows?q=a%00",
        "/webhooks/log/?q=a%00",
        "/campaigns/?after=%00",
        "/%00",
        "/welcome/a%00b",
    ):
        assert client.get(path).status_code < 500, path


def test_nul_and_invisible_characters_of_a_form_are_removed(any_app: Flask) -> None:
    client, _ = make_signed_in_client(any_app, Role.ADMIN)
    contact = make_contact("Ana")
    saved = client.post(
        f"/contacts/{contact.id}/edit",
        data={"name": f"An{NUL}a \u202eMaria", "email": "", "tags": f"v{NUL}ip"},
    )
    assert saved.status_code == 303
    rule = {"name": f"V{NUL}IPs", "kind-0": "tag", "value-0": f"v{NUL}ip", "action": "save"}
    assert client.post("/segments/new", data=rule).status_code == 303
    db.session.expire_all()
    found = db.session.get(Contact, contact.id)
    assert found
    assert found.name == "Ana Maria"
    assert list_tags_by_contact([found.id])[found.id] == ["vip"]
    segment = db.session.query(Segment).one()
    assert (segment.name, segment.rule[0][0]["value"]) == ("VIPs", "vip")


@pytest.mark.parametrize(
    "body", [{"email": NUL}, {"email": HALF, "password": ""}, {"email": 1}, {"email": None}]
)
def test_json_is_read_as_a_form(any_app: Flask, body: Any) -> None:
    assert any_app.test_client().post("/login", json=body).status_code == 422


@pytest.mark.parametrize(
    "body", ["[1, 2]", '"x"', "null", '{"email": {"a": 1}}', '{"email": ["x"]}', "{"]
)
def test_json_that_is_no_form_is_refused(app: Flask, body: str) -> None:
    answer = app.test_client().post("/login", data=body, content_type="application/json")
    assert answer.status_code == 400


@pytest.mark.parametrize("number", BEYOND)
def test_an_id_that_no_row_can_have_is_not_found(any_app: Flask, number: int) -> None:
    client, _ = make_signed_in_client(any_app, Role.ADMIN)
    rules = [rule for rule in any_app.url_map.iter_rules() if rule.arguments]
    checked = 0
    for rule in rules:
        if "static" in rule.endpoint or "token" in rule.arguments:
            continue
        path = rule.rule
        for name in rule.arguments:
            path = path.replace(f"<int:{name}>", str(number))
        for method in (rule.methods or set()) & {"GET", "POST"}:
            answer = client.open(path, method=method)
            assert answer.status_code < 500, (method, path)
            assert answer.status_code in (404, 405) or number <= MAX_ROW_ID, (method, path)
            checked += 1
    assert checked > 30


@pytest.mark.parametrize(
    "moment", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "1969-12-31T00:00:00Z"]
)
def test_a_moment_at_the_edge_of_the_calendar_is_refused(any_app: Flask, moment: str) -> None:
    client, _ = make_signed_in_client(any_app, Role.ADMIN)
    cursor = {"after": f"{moment}~1", "before": f"{moment}~1", "since": f"{moment}~1"}
    assert client.get("/conversations/", query_string=cursor).status_code == 422


def test_a_file_in_place_of_a_text_is_a_missing_text(app: Flask) -> None:
    file = (io.BytesIO(b"x"), "a.txt")
    answer = app.test_client().post("/login", data={"email": file, "password": "x"})
    assert answer.status_code == 422
