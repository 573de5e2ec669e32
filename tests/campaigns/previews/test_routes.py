from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from chatbot.accounts.models import Role
from chatbot.campaigns.models import Campaign, PreviewSend
from chatbot.campaigns.previews.preview_sends import get_last_phone
from chatbot.contacts.models import Contact
from chatbot.conversations.models import Message
from chatbot.core.db import db
from chatbot.delivery.models import MessageState
from chatbot.message_templates.models import MessageTemplate
from chatbot.privacy.erasure import erase_contact
from tests.support.panel import (
    draft_campaign_in_panel,
    get_only_campaign,
    make_contact,
    make_template,
    sign_in,
)

PHONE = "(11) 98765-4321"


@pytest.fixture
def marta(app: Flask) -> FlaskClient:
    return sign_in(app, "Marta", Role.MANAGER)


def count_rows(table: Any) -> int:
    found = db.session.scalar(sa.select(sa.func.count()).select_from(table)) or 0
    db.session.rollback()
    return found


def make_form(**changes: str) -> dict[str, str]:
    return {"phone": PHONE, "like": "", "client_token": "once"} | changes


def test_two_clicks_send_one_message_and_the_page_links_to_it(marta: FlaskClient) -> None:
    make_contact("Maria")
    check = draft_campaign_in_panel(marta, make_template())
    address = check.replace("/check", "/test")
    assert f'href="{address}"' in marta.get(check).text
    assert "Olá Maria" in marta.get(address).text
    for _click in range(2):
        assert marta.post(address, data=make_form()).status_code == 303
    message = db.session.scalars(sa.select(Message)).one()
    preview_send = db.session.scalars(sa.select(PreviewSend)).one()
    assert (preview_send.message_id, preview_send.sent_by, message.user_id) == (
        message.id,
        "Marta",
        preview_send.user_id,
    )
    thread = f"/conversations/{message.conversation_id}"
    assert f'href="{thread}#m{message.id}"' in marta.get(f"{address}/sent").text
    assert "Marta · " in marta.get(thread).text


def test_phone_is_remembered_until_its_contact_is_erased(marta: FlaskClient) -> None:
    make_contact("Maria")
    address = draft_campaign_in_panel(marta, make_template()).replace("/check", "/test")
    assert 'value=""' in find_input(marta.get(address).text, "phone")
    marta.post(address, data=make_form())
    assert "+55 (11) 98765-4321" in find_input(marta.get(address).text, "phone")
    preview_send = db.session.scalars(sa.select(PreviewSend)).one()
    assert preview_send.user_id is not None
    me = sa.select(Contact).where(Contact.phone == "+5511987654321")
    erase_contact(db.session.scalars(me).one())
    assert get_last_phone(preview_send.user_id) == ""


@pytest.mark.parametrize(
    ("changes", "field"),
    [({"phone": ""}, "phone"), ({"phone": "12"}, "phone"), ({"like": "77777"}, "like")],
)
def test_refusal_is_shown_at_its_field_and_input_is_kept(
    marta: FlaskClient, changes: dict[str, str], field: str
) -> None:
    make_contact("Maria")
    address = draft_campaign_in_panel(marta, make_template()).replace("/check", "/test")
    answer = marta.post(address, data=make_form(**changes))
    assert answer.status_code == 422
    assert f'id="{field}-error"' in answer.text
    assert f'value="{changes[field]}"' in find_input(answer.text, field)
    assert 'value="once"' in answer.text
    assert count_rows(Message) == 0


def test_refusal_without_a_field_is_shown_above_the_form(marta: FlaskClient) -> None:
    make_contact("Maria")
    template = make_template()
    address = draft_campaign_in_panel(marta, template).replace("/check", "/test")
    db.session.execute(sa.update(MessageTemplate).values(status="PAUSED"))
    db.session.commit()
    answer = marta.post(address, data=make_form())
    assert answer.status_code == 422
    assert 'role="alert"' in answer.text


def test_paused_campaigns_offer_a_preview_send_and_running_ones_do_not(
    marta: FlaskClient,
) -> None:
    make_contact("Maria")
    check = draft_campaign_in_panel(marta, make_template())
    marta.post(check.replace("/check", "/start"))
    page = f"/campaigns/{get_only_campaign().id}"
    assert f"{page}/test" not in marta.get(page).text
    assert marta.get(f"{page}/test").status_code == 409
    marta.post(f"{page}/pause")
    assert f"{page}/test" in marta.get(page).text
    assert marta.post(f"{page}/test", data=make_form()).status_code == 303


def test_a_draft_with_preview_sends_can_be_deleted(marta: FlaskClient) -> None:
    make_contact("Maria")
    check = draft_campaign_in_panel(marta, make_template())
    marta.post(check.replace("/check", "/test"), data=make_form())
    assert marta.post(check.replace("/check", "/delete")).status_code == 303
    assert (count_rows(Campaign), count_rows(PreviewSend), count_rows(Message)) == (0, 0, 1)
    assert db.session.scalars(sa.select(Message.state)).one() == MessageState.QUEUED


def find_input(page: str, name: str) -> str:
    return next(part for part in page.split("<input") if f'id="{name}"' in part).partition(">")[0]
