from __future__ import annotations

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from chatbot.accounts.models import Role
from chatbot.campaigns.models import Recipient
from chatbot.contacts.models import ContactTag
from chatbot.core.db import db
from chatbot.segments.models import Segment
from tests.support.factories import commit_and_detach, make_contact
from tests.support.panel import draft_campaign_in_panel, get_only_campaign, make_template, sign_in

XSS = "<script>alert(1)</script>"
VIP = {"kind-0": "tag", "value-0": "vip"}


@pytest.fixture
def marta(app: Flask) -> FlaskClient:
    return sign_in(app, "Marta", Role.MANAGER)


def make_vip(name: str) -> int:
    contact = make_contact(name)
    db.session.add(ContactTag(contact_id=contact.id, name="vip"))
    db.session.commit()
    return contact.id


def make_segment(name: str = "VIPs") -> Segment:
    segment = Segment(name=name, rule=[[{"kind": "tag", "value": "vip"}]])
    db.session.add(segment)
    return commit_and_detach(segment)


def test_empty_list_explains_segments(marta: FlaskClient) -> None:
    page = marta.get("/segments/").text
    assert "Nenhum segmento ainda" in page
    assert "/segments/new" in page


def test_preview_counts_without_saving_and_save_keeps_the_lines(marta: FlaskClient) -> None:
    make_vip("Ana")
    make_vip(XSS)
    lines = {
        **VIP,
        "name": "Bons clientes",
        "join-1": "or",
        "sense-1": "not",
        "kind-1": "opted_in",
        "kind-4": "seen_within",
        "value-4": "30",
        "join-4": "and",
    }
    preview = marta.post("/segments/new", data=lines | {"action": "preview"})
    assert preview.status_code == 200
    assert '<p class="big-number">0</p>' in preview.text
    preview = marta.post("/segments/new", data=VIP | {"action": "preview"}).text
    assert '<p class="big-number">2</p>' in preview
    assert XSS not in preview
    assert db.session.scalar(sa.select(sa.func.count(Segment.id))) == 0
    assert marta.post("/segments/new", data=lines | {"action": "save"}).status_code == 303
    rule = db.session.scalar(sa.select(Segment.rule))
    assert rule == [
        [{"kind": "tag", "value": "vip"}, {"kind": "opted_in", "negated": True}],
        [{"kind": "seen_within", "value": "30"}],
    ]
    listed = marta.get("/segments/").text
    assert "tem a etiqueta “vip” ou não concordou em receber mensagens" in listed
    page = marta.get("/segments/1").text
    assert '<option value="seen_within" data-value-type="days" selected>' in page


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"name": ""}, "precisa de um nome"),
        ({"name": "x" * 101}, "precisa de um nome"),
        ({"name": "VIPs"}, "Já existe um segmento com este nome"),
        ({"name": "n", "kind-0": ""}, "pelo menos uma condição"),
        ({"name": "n", "value-0": ""}, "Linha 1: escreva o valor"),
        ({"name": "n", "kind-0": "drop"}, "Linha 1: escolha"),
    ],
)
def test_invalid_input_is_explained_and_kept(
    marta: FlaskClient, given: dict[str, str], sentence: str
) -> None:
    make_segment("VIPs")
    answer = marta.post("/segments/new", data={**VIP, "action": "save", **given})
    assert answer.status_code == 422
    assert sentence in answer.text
    assert db.session.scalar(sa.select(sa.func.count(Segment.id))) == 1


def test_campaign_goes_to_the_contacts_in_the_segment_at_its_start(marta: FlaskClient) -> None:
    first = make_vip("Ana")
    make_contact("Outro")
    segment = make_segment()
    check = draft_campaign_in_panel(marta, make_template())
    audience = check.replace("/check", "/audience")
    assert marta.post(audience, data={"audience": f"segment:{segment.id}"}).status_code == 303
    page = marta.get(check).text
    assert "pessoas do segmento “VIPs”" in page
    second = make_vip("Bia")  # after the check, before the start
    assert marta.post(check.replace("/check", "/start")).status_code == 303
    chosen = set(db.session.scalars(sa.select(Recipient.contact_id)))
    assert chosen == {first, second}


def test_deleted_or_invalid_segment_blocks_the_start(marta: FlaskClient) -> None:
    make_vip("Ana")
    segment = make_segment()
    check = draft_campaign_in_panel(marta, make_template())
    audience, start = check.replace("/check", "/audience"), check.replace("/check", "/start")
    marta.post(audience, data={"audience": f"segment:{segment.id}"})
    db.session.execute(sa.update(Segment).values(rule=[["nonsense"]]))
    db.session.commit()
    assert "não pode ser lido" in marta.get(audience).text
    assert "não pode ser lido" in marta.get(check).text
    assert marta.post(start).status_code == 422
    assert marta.get(f"/segments/{segment.id}").status_code == 200
    assert marta.post(f"/segments/{segment.id}/delete").status_code == 303
    page = marta.post(start)
    assert page.status_code == 422
    assert "O segmento foi excluído" in page.text
    assert get_only_campaign().state == "draft"


def test_commands_create_and_show_a_segment(app: Flask) -> None:
    make_vip("Ana")
    runner = app.test_cli_runner()
    rule = '[[{"kind": "tag", "value": "vip"}]]'
    made = runner.invoke(args=["segments", "create", "--name", "VIPs", "--rule", rule])
    assert made.output.strip() == "1"
    shown = runner.invoke(args=["segments", "show", "1", "--json"])
    assert '"count":1' in shown.output
    refused = runner.invoke(args=["segments", "create", "--name", "x", "--rule", "[["])
    assert refused.exit_code == 1
    assert "not valid JSON" in refused.output
