"""Every preview of a campaign shows the buttons that arrive."""

from __future__ import annotations

import pytest
from flask import Flask
from flask.testing import FlaskClient

from chatbot.accounts.models import Role
from tests.support.factories import make_campaign, make_contact, make_template
from tests.support.panel import sign_in


@pytest.fixture
def marta(app: Flask) -> FlaskClient:
    return sign_in(app, "Marta", Role.MANAGER)


def test_every_preview_of_a_campaign_shows_the_buttons(marta: FlaskClient) -> None:
    make_contact("Ana")
    buttons = [{"type": "QUICK_REPLY", "text": "Quero saber mais"}]
    components = [{"type": "BODY", "text": "Oi {{1}}"}, {"type": "BUTTONS", "buttons": buttons}]
    template = make_template(components=components)
    draft = make_campaign("draft", template=template, parameters={"1": "field:name"})
    running = make_campaign("running", template=template, parameters={"1": "field:name"})
    pages = [f"{draft.id}/{step}" for step in ("edit", "parameters", "check", "test")]
    for page in ("new", *pages, str(running.id)):
        answer = marta.get(f"/campaigns/{page}")
        assert (answer.status_code, "Quero saber mais" in answer.text) == (200, True), page
