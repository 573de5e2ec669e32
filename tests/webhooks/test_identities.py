"""Identities of senders: without a phone, with a new number, known twice; each is one contact."""

from __future__ import annotations

import io
import time
from typing import Any

import sqlalchemy as sa
from flask import Flask

from chatbot.campaigns.sending.send_table import SEND_TABLE as RECIPIENTS
from chatbot.campaigns.sending.source import CampaignSource
from chatbot.channels.models import Channel
from chatbot.contacts.imports.importer import import_contacts
from chatbot.contacts.models import ConsentEvent, Contact, ContactIdentity
from chatbot.conversations.models import Conversation, Message
from chatbot.conversations.replies import ReplySource
from chatbot.core.db import db
from tests.support.factories import (
    make_campaign,
    make_channel,
    make_contact,
    make_message_value,
    make_recipients,
    make_status_value,
)
from tests.support.gateways import ScriptedGateway
from tests.support.sending import make_sender, run_sender
from tests.support.webhooks import ANNA, BIA, drain_queues, list_all, own_callback, store_webhook

ID, OTHER_ID = "BR.13491208655302741918", "BR.99"
NOW = int(time.time())


def make_hidden_sender_value(
    text: str = "oi", bsuid: str = ID, username: str | None = "ana.lima"
) -> dict[str, Any]:
    """Make a message of a person who hides their phone behind a username."""
    value = make_message_value(text, **{"from": None, "from_user_id": bsuid})
    profile = {"name": "Ana"} | ({"username": username} if username else {})
    value["contacts"] = [{"profile": profile, "user_id": bsuid}]
    return value


def list_unmerged() -> list[Contact]:
    return [contact for contact in list_all(Contact) if contact.merged_into_id is None]


def test_a_person_without_a_phone_is_answered_by_user_id(any_app: Flask) -> None:
    store_webhook(make_hidden_sender_value())
    drain_queues(1)
    (contact,) = list_unmerged()
    assert (contact.wa_id, contact.bsuid, contact.username) == (None, ID, "ana.lima")
    assert contact.address == ID
    with db.engine.begin() as connection:
        row = {"conversation_id": 1, "direction": "outbound", "author": "bot", "kind": "text",
               "text": "olá", "payload": {"type": "text", "text": {"body": "olá"}},
               "occurred_at": contact.created_at}  # fmt: skip
        connection.execute(sa.insert(Message), [row])
    gateway = ScriptedGateway()
    run_sender(make_sender(ReplySource(db.engine, list_all(Channel)[0].id), gateway), 2)
    (body,) = gateway.sent
    assert (body["recipient"], "to" in body) == (ID, False)


def test_a_campaign_reaches_a_person_without_a_phone(app: Flask) -> None:
    store_webhook(make_hidden_sender_value())
    drain_queues(1)
    campaign, contact = make_campaign(), list_unmerged()[0]
    with db.engine.begin() as connection:
        connection.execute(
            sa.insert(RECIPIENTS.table),
            [{"campaign_id": campaign.id, "contact_id": contact.id, "state": "queued"}],
        )
    gateway = ScriptedGateway()
    run_sender(make_sender(CampaignSource(db.engine, campaign.channel_id), gateway), 2)
    assert [body["recipient"] for body in gateway.sent] == [ID]


def test_the_phone_is_preferred_once_it_is_shared(any_app: Flask) -> None:
    store_webhook(make_hidden_sender_value("oi"))
    card = {"origin": "contact_request", "name": {"formatted_name": "Ana"},
            "phones": [{"phone": "+55 11 98765-4321", "wa_id": ANNA}]}  # fmt: skip
    shared = make_hidden_sender_value()
    shared["messages"][0] |= {"type": "contacts", "contacts": [card], "id": "wamid.card"}
    store_webhook(shared)
    drain_queues(1)
    (contact,) = list_unmerged()
    assert (contact.wa_id, contact.bsuid, contact.address) == (ANNA, ID, ANNA)


def test_a_card_of_another_person_is_not_the_senders_phone(app: Flask) -> None:
    shared = make_hidden_sender_value()
    shared["messages"][0] |= {"type": "contacts", "contacts": [
        {"origin": "other", "name": {"formatted_name": "Bia"}, "phones": [{"wa_id": BIA}]}]}  # fmt: skip
    store_webhook(shared)
    drain_queues(1)
    assert list_unmerged()[0].wa_id is None
    assert list_all(Message)[0].text == ""  # a name on a card is not what the sender wrote


def test_two_contacts_of_one_person_are_merged_with_one_conversation(any_app: Flask) -> None:
    store_webhook(make_message_value("pelo telefone", sender=ANNA, at=NOW - 50))
    store_webhook(make_hidden_sender_value("pelo nome"))
    drain_queues(1)
    assert len(list_unmerged()) == len(list_all(Conversation)) == 2
    db.session.execute(sa.update(Conversation).where(Conversation.id == 2).values(state="waiting"))
    db.session.commit()
    store_webhook(make_message_value("os dois", sender=ANNA, from_user_id=ID))
    drain_queues(1)
    assert len(list_unmerged()) == 1
    (conversation,) = list_all(Conversation)
    assert (conversation.contact_id, conversation.state) == (list_unmerged()[0].id, "waiting")
    assert conversation.unread_count == 3
    assert [m.text for m in list_all(Message)] == ["pelo telefone", "pelo nome", "os dois"]
    assert {m.conversation_id for m in list_all(Message)} == {conversation.id}


def make_number_change(at: int, new: str = BIA, old: str = ANNA) -> dict[str, Any]:
    value = make_message_value(type="system", text=None, sender=old, at=at, system={
        "type": "user_changed_number", "body": "mudou de número", "wa_id": new})  # fmt: skip
    del value["contacts"]  # as Meta sends it
    return value


def test_a_number_given_up_belongs_to_a_new_contact_from_then_on(any_app: Flask) -> None:
    store_webhook(make_message_value("oi", sender=ANNA, at=NOW - 100))
    store_webhook(make_number_change(NOW - 60))
    drain_queues(1)
    owner = list_unmerged()[0].id
    store_webhook(make_message_value("atrasada", sender=ANNA, at=NOW - 80))
    store_webhook(make_message_value("sou outra pessoa", sender=ANNA, at=NOW - 10))
    drain_queues(1)
    threads = {m.text: m.conversation_id for m in list_all(Message)}
    assert threads["atrasada"] == threads["oi"]
    assert threads["sou outra pessoa"] != threads["oi"]
    assert {contact.id: contact.wa_id for contact in list_unmerged()}[owner] == BIA
    assert len(list_unmerged()) == 2


def test_a_change_of_number_is_recorded_in_the_conversation_and_opens_no_window(
    any_app: Flask,
) -> None:
    store_webhook(make_message_value("oi", sender=ANNA, at=NOW - 90_000))
    store_webhook(make_number_change(NOW - 60))
    drain_queues(1)
    assert [m.text for m in list_all(Message)] == ["oi", "mudou de número"]
    assert int(list_all(Conversation)[0].last_inbound_at.timestamp()) == NOW - 90_000


def test_an_import_of_a_number_given_up_makes_a_new_contact(any_app: Flask) -> None:
    store_webhook(make_message_value("oi", sender=ANNA, at=NOW - 100))
    store_webhook(make_number_change(NOW - 60))
    drain_queues(1)
    import_contacts(io.BytesIO(b"phone,name\n11 98765-4321,Nova Dona\n"))
    assert sorted(contact.name for contact in list_unmerged()) == ["Maria", "Nova Dona"]


def test_a_new_user_id_is_the_same_person(any_app: Flask) -> None:
    store_webhook(make_hidden_sender_value())
    value = make_message_value(type="system", text=None, **{"from": None, "from_user_id": OTHER_ID},
                          system={"type": "user_changed_user_id", "user_id": OTHER_ID,
                                  "previous_user_id": ID})  # fmt: skip
    store_webhook(value)
    store_webhook(make_hidden_sender_value("sou eu", OTHER_ID))
    drain_queues(1)
    (contact,) = list_unmerged()
    assert contact.bsuid == OTHER_ID
    assert len(list_all(Conversation)) == 1


def test_a_status_records_the_user_id_of_a_phone(any_app: Flask) -> None:
    (row_id,) = make_recipients(make_campaign(), 1, state="accepted", attempt=1)
    contact = make_contact(digits=ANNA)
    callback = own_callback(row_id)
    store_webhook(make_status_value("w", biz_opaque_callback_data=callback,
                         recipient_id="551187654321", recipient_user_id=ID))  # fmt: skip
    drain_queues(1)
    store_webhook(make_hidden_sender_value("agora sem telefone"))
    drain_queues(1)
    assert list_all(Conversation)[0].contact_id == contact.id


def test_the_wa_id_from_a_send_is_recognized_when_the_person_writes(any_app: Flask) -> None:
    """For example Mexico's old and new form, whose match key differs from that of the imported number."""
    campaign = make_campaign()
    make_recipients(campaign, 1)
    source = CampaignSource(db.engine, campaign.channel_id)
    with db.engine.begin() as connection:
        source.save_wa_ids(connection, {1: "5215512345678"})
    store_webhook(make_message_value("hola", sender="5215512345678"))
    drain_queues(1)
    assert len(list_unmerged()) == 1


def test_a_stop_of_a_person_who_is_no_contact_yet_is_kept(any_app: Flask) -> None:
    make_channel()
    store_webhook({"user_preferences": [{"wa_id": ANNA, "value": "stop", "timestamp": NOW - 60,
                                   "category": "marketing_messages"}]}, field="user_preferences")  # fmt: skip
    drain_queues(1)
    import_contacts(io.BytesIO(b"phone,name\n11 98765-4321,Ana\n"))
    (contact,) = list_unmerged()
    assert (contact.name, contact.opted_out_at is not None) == ("Ana", True)


def test_preferences_out_of_order_end_with_the_latest_one(any_app: Flask) -> None:
    make_channel()
    for value, at in (("resume", NOW - 10), ("stop", NOW - 60)):
        preference = {"wa_id": ANNA, "value": value, "timestamp": at}
        store_webhook({"user_preferences": [preference]}, field="user_preferences")
    drain_queues(1)
    assert list_unmerged()[0].opted_out_at is None
    assert [event.kind for event in list_all(ConsentEvent)] == ["opt_out", "opt_in"]
    store_webhook({"user_preferences": [{"wa_id": ANNA, "value": "stop", "timestamp": NOW - 90}]},
            field="user_preferences")  # fmt: skip
    drain_queues(1)
    assert list_unmerged()[0].opted_out_at is None, "it is older than their latest preference"


def test_a_landline_gets_no_ninth_digit(any_app: Flask) -> None:
    store_webhook(make_message_value("fixo", sender="551132345678"))
    store_webhook(make_message_value("celular", sender="5511932345678"))
    drain_queues(1)
    assert len(list_unmerged()) == 2
    assert len(list_all(ContactIdentity)) == 2
