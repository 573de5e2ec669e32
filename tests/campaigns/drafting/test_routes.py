from __future__ import annotations

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from chatbot.accounts.models import Role
from chatbot.campaigns.models import Campaign, CampaignState
from chatbot.channels.models import Channel
from chatbot.contacts.service import opt_out
from chatbot.core.db import db
from tests.support.panel import (
    add_tag,
    draft_campaign_in_panel,
    get_only_campaign,
    make_contact,
    make_template,
    sign_in,
)

XSS = "<script>alert(1)</script>"


@pytest.fixture
def marta(app: Flask) -> FlaskClient:
    return sign_in(app, "Marta", Role.MANAGER)


class TestWriting:
    def test_first_step_without_an_approved_template_says_what_to_do(
        self, marta: FlaskClient
    ) -> None:
        template = make_template()
        template.status = "PAUSED"
        db.session.commit()
        page = marta.get("/campaigns/new").text
        assert "flask templates sync" in page
        assert '<form method="post" novalidate>' not in page

    def test_steps_lead_to_a_check_with_a_sample_text(self, marta: FlaskClient) -> None:
        make_contact("Maria Souza", "5511987650001")
        opt_out(make_contact("Rui", "5511987650002"), "bot")
        db.session.commit()
        page = marta.get(draft_campaign_in_panel(marta, make_template())).text
        assert "Olá Maria Souza, vence dia 10/12." in page
        assert '<p class="big-number">1</p>' in page
        assert get_only_campaign().state == CampaignState.DRAFT
        assert "/start" in page

    def test_going_back_keeps_the_choices(self, marta: FlaskClient) -> None:
        make_contact()
        check = draft_campaign_in_panel(marta, make_template())
        blanks = marta.get(check.replace("/check", "/parameters")).text
        assert 'value="10/12"' in blanks
        assert '<option value="field:name" selected>' in blanks
        audience = marta.get(check.replace("/check", "/audience")).text
        ours = next(part for part in audience.split("<input") if 'value="all"' in part)
        assert " checked " in ours.partition(">")[0]

    @pytest.mark.parametrize("name", ["", "   ", "x" * 201])
    def test_invalid_name_shows_an_error_at_its_field(self, marta: FlaskClient, name: str) -> None:
        form = {"name": name, "template_id": str(make_template().id), "on_doubt": "show"}
        answer = marta.post("/campaigns/new", data=form)
        assert answer.status_code == 422
        assert 'id="name-error"' in answer.text

    def test_unknown_template_is_refused(self, marta: FlaskClient) -> None:
        make_template()
        for template_id in ("999", "x", ""):
            form = {"name": "n", "template_id": template_id, "on_doubt": "show"}
            assert marta.post("/campaigns/new", data=form).status_code == 422

    def test_a_template_that_we_cannot_fill_is_refused_by_name(self, marta: FlaskClient) -> None:
        template = make_template()
        flow = {"type": "BUTTONS", "buttons": [{"type": "FLOW", "text": "Agendar"}]}
        template.components = [*template.components, flow]
        db.session.commit()
        form = {"name": "n", "template_id": str(template.id), "on_doubt": "show"}
        answer = marta.post("/campaigns/new", data=form)
        assert answer.status_code == 422
        assert "botão de formulário (FLOW)" in answer.text
        assert "botão de formulário (FLOW)" in marta.get(f"/templates/{template.id}").text

    def test_each_parameter_needs_a_source_and_input_is_kept(self, marta: FlaskClient) -> None:
        form = {"name": "n", "template_id": str(make_template().id), "on_doubt": "show"}
        address = marta.post("/campaigns/new", data=form).location
        wrong = {"source-1": "field:__class__", "source-2": "text", "text-2": "  "}
        answer = marta.post(address, data=wrong)
        assert answer.status_code == 422
        assert 'id="blank-1-error"' in answer.text
        assert 'id="blank-2-error"' in answer.text
        kept = marta.post(address, data={"source-1": "", "source-2": "text", "text-2": XSS})
        assert "&lt;script&gt;" in kept.text
        assert XSS not in kept.text
        assert get_only_campaign().parameters == {}

    def test_audience_counts_each_suppressed_contact_once(self, marta: FlaskClient) -> None:
        for number in range(4):
            add_tag(make_contact(f"P{number}", f"551198765000{number}"), "vip")
        opted_out = make_contact("P0", "5511987650000")
        opted_out.wa_id = opted_out.phone = None  # two reasons, one contact
        opt_out(opted_out, "bot")
        db.session.commit()
        form = {"name": "n", "template_id": str(make_template().id), "on_doubt": "show"}
        address = marta.post("/campaigns/new", data=form).location.replace("parameters", "audience")
        page = marta.get(address).text
        assert 'value="tag:vip"' in page
        assert page.count("3 ") >= 2
        answer = marta.post(address, data={"audience": "tag:nobody"})
        assert answer.status_code == 422
        marta.post(address, data={"audience": "tag:vip"})
        assert get_only_campaign().audience == {"kind": "tag", "name": "vip"}

    def test_check_and_start_both_show_the_problem(self, marta: FlaskClient) -> None:
        contact = make_contact("Maria")
        check = draft_campaign_in_panel(marta, make_template())
        contact.name = ""
        db.session.commit()
        page = marta.get(check).text
        assert 'role="alert"' in page
        assert f'{check.replace("/check", "/start")}"' not in page
        answer = marta.post(check.replace("/check", "/start"))
        assert answer.status_code == 422
        assert 'role="alert"' in answer.text
        assert get_only_campaign().state == CampaignState.DRAFT

    def test_an_unfinished_draft_cannot_be_started(self, marta: FlaskClient) -> None:
        make_contact()
        form = {"name": "n", "template_id": str(make_template().id), "on_doubt": "show"}
        address = marta.post("/campaigns/new", data=form).location
        assert marta.get(address.replace("parameters", "check")).status_code == 200
        answer = marta.post(address.replace("parameters", "start"))
        assert answer.status_code == 422
        assert get_only_campaign().state == CampaignState.DRAFT

    def test_only_drafts_can_be_deleted(self, marta: FlaskClient) -> None:
        make_contact()
        check = draft_campaign_in_panel(marta, make_template())
        assert marta.post(check.replace("/check", "/delete")).status_code == 303
        assert db.session.scalar(sa.select(sa.func.count()).select_from(Campaign)) == 0
        check = draft_campaign_in_panel(marta, make_template("outro"))
        marta.post(check.replace("/check", "/start"))
        assert marta.post(check.replace("/check", "/delete")).status_code == 409
        assert get_only_campaign().state == CampaignState.RUNNING

    def test_names_are_escaped(self, marta: FlaskClient) -> None:
        make_contact(f"Eva {XSS}")
        check = draft_campaign_in_panel(
            marta, make_template(body="<b>Oi</b> {{1}} {{2}}"), name=XSS
        )
        for address in (check, "/campaigns/"):
            page = marta.get(address).text
            assert "&lt;script&gt;" in page
            assert XSS not in page
        assert "<b>Oi</b>" not in marta.get(check).text


def test_check_shows_the_cost_and_the_daily_limit(app: Flask) -> None:
    marta = sign_in(app, "Marta", Role.MANAGER)
    make_contact("Maria Souza", "5511987650001")
    make_contact("John", "12025550123")
    check = draft_campaign_in_panel(marta, make_template())
    page = marta.get(check).text
    assert "US$\xa00,01" in page  # one Brazilian number, utility
    assert "para 1 números do Brasil" in page
    assert "permite que esta conta alcance" not in page
    db.session.execute(sa.update(Channel).values(daily_limit=1))
    db.session.commit()
    assert "permite que esta conta alcance mais 1 pessoas" in marta.get(check).text
