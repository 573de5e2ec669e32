"""Exports of contacts, which an import reads again, and files that cost a lot to read."""

from __future__ import annotations

import csv
import io

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from chatbot.accounts.models import Role
from chatbot.contacts.imports import csv_reader, tasks
from chatbot.contacts.models import (
    ConsentEvent,
    Contact,
    ContactIdentity,
    ContactTag,
    Suppression,
)
from chatbot.contacts.queries import list_tags_by_contact
from chatbot.contacts.service import opt_in, opt_out
from chatbot.core.db import db
from tests.support.panel import add_tag, make_contact, sign_in


@pytest.fixture
def marta(any_app: Flask) -> FlaskClient:
    return sign_in(any_app, "Marta", Role.MANAGER)


def upload(client: FlaskClient, text: str) -> str:
    """Upload a file and return the address of its preview."""
    file = (io.BytesIO(text.encode()), "lista.csv")
    answer = client.post("/contacts/import", data={"file": file})
    assert answer.status_code == 303, answer.text
    return answer.location


def parse_csv(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text.removeprefix("\ufeff")), delimiter=";"))


def test_an_export_has_no_formula_and_can_be_imported_again(marta: FlaskClient) -> None:
    for number, name in enumerate(("=1+1", "+x", "-x", "@x", "\tx", "normal")):
        make_contact(name, f"551198765000{number}")
    contact = make_contact("+SOMA", "14155550123")
    add_tag(contact, "=tag")
    text = marta.get("/contacts/export.csv").text
    rows = parse_csv(text)
    assert len(rows) == 8
    dangerous = ("=", "+", "-", "@", "\t", "\r")
    assert not [cell for row in rows for cell in row if cell.startswith(dangerous)]
    db.session.execute(sa.delete(ContactTag))
    db.session.commit()
    marta.post(f"{upload(marta, text)}/confirm")
    tasks.run_imports()
    assert len(describe_contacts()) == 7  # each recognized by the phone


def test_the_export_uses_the_filter_of_the_list(marta: FlaskClient) -> None:
    add_tag(make_contact("Vera", "5511987650001"), "vip")
    make_contact("Outra", "5511987650002")
    rows = parse_csv(marta.get("/contacts/export.csv?tag=vip").text)
    assert [row[1] for row in rows[1:]] == ["Vera"]


def test_an_export_imported_again_loses_nothing(marta: FlaskClient) -> None:
    attributes = {"plano": "=fibra, -500", "cidade": "São Paulo"}
    ana = make_contact("Ana; =1+1", "5511987650001")
    ana.attributes, ana.email = attributes, "ana@loja.example"
    ana.document = "00000000191"
    add_tag(ana, "@vip")
    add_tag(ana, "-novo")
    opt_in(ana, "agent", "na loja")
    refused = make_contact("'Rui'", "14155550123")
    refused.attributes = {"obs": "'+x"}
    opt_in(refused, "agent", "na loja")
    opt_out(refused, "bot")
    make_contact("", "5511987650003")
    db.session.commit()
    for language in ("pt_BR", "en"):
        marta.set_cookie("locale", language)
        answer = marta.get("/contacts/export.csv")
        assert answer.headers.getlist("Content-Type") == ["text/csv; charset=utf-8"]
        before, text = describe_contacts(), answer.text
        for table in (ContactTag, ConsentEvent, Suppression, ContactIdentity, Contact):
            db.session.execute(sa.delete(table))
        db.session.commit()
        marta.post(f"{upload(marta, text)}/confirm")
        tasks.run_imports()
        assert describe_contacts() == before


def describe_contacts() -> list[tuple[object, ...]]:
    """Return all that an export has to keep of each contact."""
    db.session.rollback()
    found = db.session.scalars(sa.select(Contact).order_by(Contact.phone)).all()
    tags = list_tags_by_contact([contact.id for contact in found])
    agreed = set(
        db.session.scalars(sa.select(ConsentEvent.contact_id).where(ConsentEvent.kind == "opt_in"))
    )
    return [
        (
            *(c.phone, c.name, c.document, c.email, c.attributes, tags.get(c.id, [])),
            *(c.opted_out_at is not None, c.id in agreed and c.opted_out_at is None),
        )
        for c in found
    ]


def test_a_file_of_blank_lines_costs_a_request_almost_nothing(
    marta: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed = []
    real = csv_reader.csv.reader
    monkeypatch.setattr(
        csv_reader.csv, "reader", lambda *a, **options: parsed.append(1) or real(*a, **options)
    )
    for blank in ("\n", ";;\n", " \r\n"):
        text = f"nome;telefone;x\n{blank * 50_000}Ana;11987650001;\n"
        assert "Ana" in marta.get(upload(marta, text)).text
    many = "nome;telefone\n" + '"\n"\n\n' * 20_000
    assert marta.get(upload(marta, many)).status_code == 200
    assert len(parsed) < 20_000


def test_the_line_after_many_blank_ones_has_its_number(app: Flask) -> None:
    content = b"telefone;nome\n" + b";\n" * 5_000 + b"123;Rui\n"
    (bad,) = csv_reader.read_rows(io.BytesIO(content))
    assert bad.line == 5_002
