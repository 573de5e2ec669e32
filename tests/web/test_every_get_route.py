"""Every GET route with rows behind it, on each database.

The tests of the pages run on SQLite alone; this one shows that PostgreSQL accepts their SQL too.
"""

from __future__ import annotations

import pytest
from flask import Flask

from chatbot.accounts.models import Role
from chatbot.contacts.models import Contact
from chatbot.core.db import db
from chatbot.demo.data import load_demo_data
from chatbot.webhooks.tasks import drain_messages
from tests.support.clients import make_signed_in_client
from tests.support.factories import (
    make_campaign,
    make_message_value,
    make_recipients,
    make_webhook_body,
    signature_headers,
)

ANYTHING = "q=maria&tag=vip&inbox=waiting&show=all&state=failed"
MOST_PAGES_ARE_THERE = 30


@pytest.fixture
def filled_app(any_app: Flask) -> Flask:
    load_demo_data(5)
    db.session.commit()
    make_recipients(make_campaign(), 3)
    make_campaign("draft")
    raw = make_webhook_body(make_message_value("oi"))
    any_app.test_client().post("/webhooks/whatsapp", data=raw, headers=signature_headers(raw))
    drain_messages()
    db.session.rollback()
    return any_app


def test_every_get_route_answers(filled_app: Flask) -> None:
    client, _ = make_signed_in_client(filled_app, Role.ADMIN)
    known = db.session.query(Contact.id).order_by(Contact.id).first()
    assert known
    shown = 0
    for rule in filled_app.url_map.iter_rules():
        if "GET" not in (rule.methods or ()) or rule.endpoint.endswith("static"):
            continue
        for number in (known[0], known[0] + 1, 999_999):
            built = rule.build(dict.fromkeys(rule.arguments, str(number)), append_unknown=False)
            assert built
            for query in ("", f"?{ANYTHING}", f"?{ANYTHING}&after=x&before=x&since=x"):
                answer = client.get(built[1] + query)
                assert answer.status_code < 500, (rule.rule, query)
                shown += answer.status_code == 200
            if not rule.arguments:
                break
    assert shown > 3 * MOST_PAGES_ARE_THERE
