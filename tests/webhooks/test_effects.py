from __future__ import annotations

import pytest
from flask import Flask

from chatbot.channels.models import Channel
from chatbot.contacts.models import ConsentEvent, Contact, ContactIdentity
from chatbot.conversations.models import Conversation
from chatbot.message_templates.models import MessageTemplate
from tests.support.factories import make_channel, make_contact, make_message_value, make_template
from tests.support.webhooks import ANNA, BIA, drain_queues, list_all, store_webhook


@pytest.mark.parametrize(
    ("event", "status"),
    [("PAUSED", "PAUSED"), ("DISABLED", "DISABLED"), ("REINSTATED", "APPROVED")],
)
@pytest.mark.parametrize("language", ["pt_BR", "pt-BR"])
def test_a_templates_status_takes_effect(
    any_app: Flask, event: str, status: str, language: str
) -> None:
    template = make_template(status="PENDING")
    store_webhook(
        {
            "event": event,
            "message_template_name": template.name,
            "message_template_language": language,
        },
        field="message_template_status_update",
    )
    drain_queues()
    assert list_all(MessageTemplate)[0].status == status


def test_stop_in_whatsapp_itself_is_an_opt_out_and_resume_ends_it(any_app: Flask) -> None:
    make_contact(digits=ANNA)
    for value, kinds in (("stop", ["opt_out"]), ("stop", ["opt_out"]),
                         ("resume", ["opt_out", "opt_in"])):  # fmt: skip
        preference = {"wa_id": "551187654321", "category": "marketing_messages", "value": value}
        store_webhook({"user_preferences": [preference]}, field="user_preferences")
        drain_queues()
        assert [event.kind for event in list_all(ConsentEvent)] == kinds
        assert (list_all(Contact)[0].opted_out_at is not None) == (value == "stop")


def test_a_new_number_is_the_same_person(any_app: Flask) -> None:
    store_webhook(make_message_value("oi", sender=ANNA))
    drain_queues()
    store_webhook(make_message_value(type="system", text=None, sender=ANNA,
                          system={"type": "user_changed_number", "wa_id": BIA}))  # fmt: skip
    store_webhook(make_message_value("troquei de número", sender=BIA))
    drain_queues()
    (contact,) = list_all(Contact)
    assert contact.wa_id == BIA
    assert len(list_all(Conversation)) == 1
    assert {i.contact_id for i in list_all(ContactIdentity)} == {contact.id}


@pytest.mark.parametrize(
    ("reported", "limit"),
    [(2000, 2000), ("TIER_10K", 10_000), ("TIER_250", 250), ("TIER_UNLIMITED", None), ("?", 77)],
)
def test_the_daily_limit_comes_from_meta(app: Flask, reported: object, limit: int | None) -> None:
    make_channel()
    for value in (77, reported):
        store_webhook(
            {"max_daily_conversations_per_business": value}, field="business_capability_update"
        )
    drain_queues()
    assert list_all(Channel)[0].daily_limit == limit
