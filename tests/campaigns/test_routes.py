from __future__ import annotations

import csv
import io
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from chatbot.accounts.models import Role
from chatbot.campaigns import queries, service
from chatbot.campaigns.models import Campaign, CampaignState, Recipient
from chatbot.contacts.models import Contact
from chatbot.core import clock
from chatbot.core.db import db
from chatbot.delivery.models import MessageState
from tests.support.call_counts import count_sql
from tests.support.panel import (
    draft_campaign_in_panel,
    get_only_campaign,
    make_contact,
    make_template,
    sign_in,
)


@pytest.fixture
def marta(app: Flask) -> FlaskClient:
    return sign_in(app, "Marta", Role.MANAGER)


def make_running(client: FlaskClient, people: int = 3) -> Campaign:
    for number in range(people):
        make_contact(f"Pessoa {number}", f"5511987{number:06d}")
    check = draft_campaign_in_panel(client, make_template())
    assert client.post(check.replace("/check", "/start")).status_code == 303
    return get_only_campaign()


def set_states(campaign: Campaign, *states: MessageState, **changes: Any) -> None:
    """Set the states of the recipients, in order."""
    query = sa.select(Recipient).order_by(Recipient.contact_id)
    for recipient, state in zip(db.session.scalars(query), states, strict=False):
        recipient.state = state
        for name, value in changes.items():
            setattr(recipient, name, value)
    db.session.commit()


class TestRunning:
    def test_second_of_two_starts_gets_409_naming_the_first_user(
        self, app: Flask, marta: FlaskClient
    ) -> None:
        olga = sign_in(app, "Olga", Role.MANAGER)
        campaign = make_running(marta)
        answer = olga.post(f"/campaigns/{campaign.id}/start")
        assert answer.status_code == 409
        assert "Marta" in answer.text.split("<main")[1]
        rows = db.session.scalar(sa.select(sa.func.count()).select_from(Recipient))
        assert rows == 3

    def test_pause_resume_and_cancel_work_once_each(self, app: Flask, marta: FlaskClient) -> None:
        olga = sign_in(app, "Olga", Role.MANAGER)
        campaign = make_running(marta)
        address = f"/campaigns/{campaign.id}"
        steps = [
            ("pause", CampaignState.PAUSED),
            ("resume", CampaignState.RUNNING),
            ("cancel", CampaignState.CANCELLED),
        ]
        for act, state in steps:
            assert marta.post(f"{address}/{act}").status_code == 303
            assert get_only_campaign().state == state
            late = olga.post(f"{address}/{act}")
            assert late.status_code == 409
            assert "Marta" in late.text.split("<main")[1]
        skipped = db.session.scalars(sa.select(Recipient.skip_reason)).all()
        assert set(skipped) == {"cancelled"}

    def test_page_offers_the_actions_the_state_allows(self, marta: FlaskClient) -> None:
        campaign = make_running(marta)
        page = marta.get(f"/campaigns/{campaign.id}").text
        assert f"/campaigns/{campaign.id}/pause" in page
        assert f"/campaigns/{campaign.id}/resume" not in page
        marta.post(f"/campaigns/{campaign.id}/cancel")
        page = marta.get(f"/campaigns/{campaign.id}").text
        assert f"/campaigns/{campaign.id}/pause" not in page
        assert f"/campaigns/{campaign.id}/cancel" not in page

    def test_progress_figures_add_up(self, marta: FlaskClient) -> None:
        campaign = make_running(marta, people=7)
        set_states(
            campaign, MessageState.READ, MessageState.DELIVERED, MessageState.SENT,
            MessageState.ACCEPTED, MessageState.FAILED,
            MessageState.UNKNOWN, error_code=131026,
        )  # fmt: skip
        answer = marta.get(f"/campaigns/{campaign.id}/progress").json
        assert answer["state"] == "running"
        assert (answer["done"], answer["planned"]) == (6, 7)
        assert answer["funnel"] == {"accepted": 4, "sent": 3, "delivered": 2, "read": 1}
        assert sum(n for k, n in answer["figures"].items() if k != "planned") == 7
        assert "131026" in answer["causes"]
        assert 'data-value="shown.funnel.read">1<' in marta.get(f"/campaigns/{campaign.id}").text

    def test_repeated_progress_requests_count_once(self, app: Flask, marta: FlaskClient) -> None:
        campaign = make_running(marta, people=3)
        marta.get(f"/campaigns/{campaign.id}/progress")
        with count_sql(db.engine) as count:
            for _ in range(3):
                assert marta.get(f"/campaigns/{campaign.id}/progress").json["planned"] == 3
        assert not any("FROM recipients" in statement for statement in count.statements)

    def test_recipients_are_filtered_by_state_and_paginated(self, marta: FlaskClient) -> None:
        campaign = make_running(marta, people=70)
        set_states(campaign, *[MessageState.FAILED] * 65, error_code=131026)
        for state, expected in (("", 70), ("failed", 65), ("queued", 5), ("read", 0)):
            seen: list[str] = []
            address = f"/campaigns/{campaign.id}/recipients?state={state}"
            for _ in range(4):
                page = marta.get(address).text
                seen += [part.split('"')[0] for part in page.split('<th scope="row"><a href="')[1:]]
                if 'rel="next"' not in page:
                    break
                address = page.split('rel="next" href="')[1].split('"')[0].replace("&amp;", "&")
            assert len(seen) == len(set(seen)) == expected

    def test_export_labels_causes_and_escapes_formulas(self, marta: FlaskClient) -> None:
        campaign = make_running(marta)
        set_states(
            campaign, MessageState.FAILED, MessageState.READ, error_code=131026, read_at=clock.now()
        )
        db.session.execute(sa.update(Contact).values(name="=HYPERLINK(1)"))
        db.session.commit()
        text = marta.get(f"/campaigns/{campaign.id}/recipients.csv").text.removeprefix("\ufeff")
        rows = list(csv.reader(io.StringIO(text), delimiter=";"))
        assert len(rows) == 4
        assert {row[1] for row in rows[1:]} == {"'=HYPERLINK(1)"}
        failed = next(row for row in rows if row[2] == "Falhou")
        assert "WhatsApp" in failed[3]
        assert not [c for row in rows for c in row if c.startswith(("=", "+", "-", "@"))]
        only = marta.get(f"/campaigns/{campaign.id}/recipients.csv?state=read").text
        assert len(only.strip().splitlines()) == 2

    def test_unknown_campaign_is_404(self, marta: FlaskClient) -> None:
        for page in ("", "/check", "/edit", "/parameters", "/audience", "/progress", "/recipients",
                     "/recipients.csv"):  # fmt: skip
            assert marta.get(f"/campaigns/999{page}").status_code == 404, page
        for act in ("start", "pause", "resume", "cancel", "delete"):
            assert marta.post(f"/campaigns/999/{act}").status_code == 404, act

    def test_draft_pages_of_a_started_campaign_are_409(self, marta: FlaskClient) -> None:
        campaign = make_running(marta)
        for step in ("edit", "parameters", "audience", "check"):
            assert marta.get(f"/campaigns/{campaign.id}/{step}").status_code == 409

    def test_agents_have_no_access(self, app: Flask) -> None:
        ana = sign_in(app, "Ana")
        assert ana.get("/campaigns/").status_code == 403
        assert ana.post("/campaigns/1/start").status_code == 403


def test_list_is_paginated(app: Flask, marta: FlaskClient) -> None:
    assert "empty" in marta.get("/campaigns/").text
    template = make_template()
    channel = template.channel_id
    for number in range(40):
        db.session.add(
            Campaign(name=f"C{number}", channel_id=channel, template_id=template.id, audience={})
        )
    db.session.commit()
    first = marta.get("/campaigns/").text
    assert "C39" in first
    assert "<strong>C9<" not in first
    address = first.split('rel="next" href="')[1].split('"')[0].replace("&amp;", "&")
    assert "<strong>C9<" in marta.get(address).text
    assert queries.count_by_state_for_many([]) == {}
    assert service.get_campaign(1).name == "C0"
