from __future__ import annotations

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from chatbot.accounts.models import Role
from chatbot.billing.models import Invoice
from chatbot.contacts.models import ConsentEvent, Contact, ContactTag
from chatbot.core import clock
from chatbot.core.db import db
from tests.support.panel import add_tag, make_contact, make_conversation, sign_in

XSS = "<script>alert(1)</script>"


@pytest.fixture
def app(any_app: Flask) -> Flask:
    """Run each test on every configured database."""
    return any_app


@pytest.fixture
def ana(app: Flask) -> FlaskClient:
    return sign_in(app, "Ana")


@pytest.fixture
def marta(app: Flask) -> FlaskClient:
    return sign_in(app, "Marta", Role.MANAGER)


class TestList:
    def test_an_empty_list_shows_help_and_offers_managers_the_import(
        self, ana: FlaskClient, marta: FlaskClient
    ) -> None:
        assert "/contacts/import" not in ana.get("/contacts/").text
        assert "/contacts/import" in marta.get("/contacts/").text

    def test_search_and_tag_narrow_the_list(self, ana: FlaskClient) -> None:
        add_tag(make_contact("Zélia Araújo", "5511987650001"), "vip")
        make_contact("Outra", "5511987650002")
        for address in ("/contacts/?q=zelia+arau", "/contacts/?tag=vip", "/contacts/?q=987650001"):
            page = ana.get(address).text
            assert "Zélia Araújo" in page, address
            assert "<strong>Outra" not in page, address

    def test_pages_are_ordered_by_name_and_lose_no_contact_with_equal_names(
        self, ana: FlaskClient
    ) -> None:
        ids = [make_contact("Igual ~ 100%", f"5511987{number:06d}").id for number in range(120)]
        seen: list[int] = []
        address = "/contacts/"
        for _ in range(3):
            page = ana.get(address).text
            seen += [
                int(part.split('"')[0])
                for part in page.split('href="/contacts/')[1:]
                if part[0].isdigit()
            ]
            if 'rel="next"' in page:
                address = page.split('rel="next" href="')[1].split('"')[0].replace("&amp;", "&")
        assert seen == ids

    def test_names_and_tags_are_escaped(self, ana: FlaskClient) -> None:
        add_tag(make_contact(f"Eva {XSS}"), XSS[:50])
        for address in ("/contacts/", f"/contacts/{only().id}", f"/contacts/{only().id}/edit"):
            page = ana.get(address).text
            assert "&lt;script&gt;" in page, address
            assert XSS not in page, address


def only() -> Contact:
    return db.session.scalars(sa.select(Contact)).one()


class TestProfile:
    def test_document_is_masked_and_invoices_are_shown(self, ana: FlaskClient) -> None:
        contact = make_contact("Maria")
        contact.document, contact.attributes = "52998224725", {"plano": "Fibra 500"}
        today = clock.now().date()
        db.session.add(
            Invoice(
                contact_id=contact.id, reference="R1", description="Fibra · maio", due_on=today,
                amount_cents=10990,
            )
        )  # fmt: skip
        conversation = make_conversation(contact)
        page = ana.get(f"/contacts/{contact.id}").text
        assert "52998224725" not in page
        assert "529.982.247" not in page
        assert "***.982.247-**" in page
        assert "109,90" in page
        assert "Fibra 500" in page
        assert f"/conversations/{conversation.id}" in page

    def test_a_merged_contacts_page_shows_the_remaining_contact(self, ana: FlaskClient) -> None:
        old, new = make_contact("Velha", "5511987650001"), make_contact("Nova", "5511987650002")
        old.merged_into_id = new.id
        db.session.commit()
        answer = ana.get(f"/contacts/{old.id}")
        assert answer.status_code == 302
        assert answer.location.endswith(f"/contacts/{new.id}")

    def test_an_unknown_contact_is_a_404(self, ana: FlaskClient) -> None:
        assert ana.get("/contacts/999").status_code == 404
        assert ana.get("/contacts/999/edit").status_code == 404
        assert ana.post("/contacts/999/opt-out").status_code == 404

    def test_an_agents_opt_out_and_opt_in_are_recorded(self, ana: FlaskClient) -> None:
        contact = make_contact()
        for _ in range(2):  # the second changes nothing
            assert ana.post(f"/contacts/{contact.id}/opt-out").status_code == 303
        assert contact.opted_out_at is not None
        for nothing in ("", "  ", "x" * 300):  # consent without evidence is refused
            ana.post(f"/contacts/{contact.id}/opt-in", data={"evidence": nothing})
        db.session.rollback()
        assert contact.opted_out_at is not None
        assert 'name="evidence"' in ana.get(f"/contacts/{contact.id}").text
        ana.post(f"/contacts/{contact.id}/opt-in", data={"evidence": " asked by  phone "})
        db.session.rollback()
        assert contact.opted_out_at is None
        assert "asked by phone" in ana.get(f"/contacts/{contact.id}").text
        events = db.session.scalars(sa.select(ConsentEvent).order_by(ConsentEvent.id)).all()
        assert [(e.kind, e.source, e.evidence) for e in events] == [
            ("opt_out", "agent", "ana@prosa.example"),
            ("opt_in", "agent", "asked by phone (ana@prosa.example)"),
        ]

    def test_editing_changes_name_email_and_tags(self, ana: FlaskClient) -> None:
        contact = make_contact("Antiga")
        add_tag(contact, "velha")
        form = {"name": " Nova  Ação ", "email": "A@B.com", "tags": "vip, VIP, novo"}
        assert ana.post(f"/contacts/{contact.id}/edit", data=form).status_code == 303
        db.session.rollback()
        assert (contact.name, contact.search_name) == ("Nova Ação", "nova acao")
        assert contact.email == "a@b.com"
        names = db.session.scalars(sa.select(ContactTag.name).order_by(ContactTag.name)).all()
        assert names == ["novo", "vip"]

    @pytest.mark.parametrize(
        "wrong",
        [{"email": "no-address"}, {"tags": "x" * 51}, {"tags": ",".join(map(str, range(40)))}],
    )
    def test_an_error_is_shown_beside_its_field_and_nothing_is_saved(
        self, ana: FlaskClient, wrong: dict[str, str]
    ) -> None:
        contact = make_contact("Maria")
        form = {"name": "Outro nome", "email": "", "tags": ""} | wrong
        answer = ana.post(f"/contacts/{contact.id}/edit", data=form)
        assert answer.status_code == 422
        ((field, typed),) = wrong.items()
        assert f'id="{field}-error"' in answer.text
        assert typed in answer.text
        assert "Outro nome" in answer.text
        db.session.rollback()
        assert contact.name == "Maria"
