"""A test of a campaign to oneself: an ordinary message, and no figure of the campaign moves."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from chatbot.campaigns import service
from chatbot.campaigns.drafts import create_draft
from chatbot.campaigns.models import Campaign, Recipient, Trial
from chatbot.campaigns.trials import AskedBy, send_trial
from chatbot.contacts.models import Contact
from chatbot.contacts.service import opt_out
from chatbot.conversations.models import Author, Conversation, ConversationState, Message
from chatbot.conversations.replies import ReplySource
from chatbot.core.db import db
from chatbot.core.errors import AppError, Conflict, InvalidInput
from chatbot.message_templates.models import MessageTemplate
from chatbot.privacy.erasure import forget_contact
from tests.support.campaigns import counts, do, draft, send, start, state
from tests.support.gateways import ScriptedGateway
from tests.support.making import make_channel, make_contact, make_template
from tests.support.sending import make_sender

MARTA = AskedBy("Marta")
PHONE = "(11) 98765-4321"


def tried(campaign_id: int, phone: str = PHONE, **more: Any) -> Message:
    message = send_trial(campaign_id, MARTA, phone=phone, **more)
    db.session.commit()
    return message


def deliver() -> list[Mapping[str, Any]]:
    """What the replies worker sends now."""
    gateway = ScriptedGateway()
    asyncio.run(make_sender(ReplySource(db.engine, make_channel().id), gateway).run(5))
    return gateway.sent


def refused(campaign_id: int, phone: str = PHONE, **more: Any) -> AppError:
    with pytest.raises(AppError) as told:
        send_trial(campaign_id, MARTA, phone=phone, **more)
    db.session.rollback()
    assert number_of(Message) == number_of(Trial) == 0
    return told.value


def number_of(table: Any) -> int:
    found = db.session.scalar(sa.select(sa.func.count()).select_from(table)) or 0
    db.session.rollback()
    return found


class TestSending:
    def test_it_reads_as_one_of_the_people_would_read_it_and_moves_no_figure(
        self, any_app: Flask
    ) -> None:
        make_contact("Ana")
        number = draft("Olá {{1}}!")
        message = tried(number)
        assert (message.text, message.author, message.state) == ("Olá Ana!", Author.TRIAL, "queued")
        (body,) = deliver()
        assert body["to"] == "5511987654321"
        assert body["template"]["components"][0]["parameters"][0]["text"] == "Ana"
        assert body["biz_opaque_callback_data"].startswith("m:")
        assert (number_of(Recipient), counts(number), state(number)) == (0, {}, "draft")

    def test_the_phone_of_nobody_makes_a_contact_and_that_of_somebody_finds_them(
        self, any_app: Flask
    ) -> None:
        make_contact("Ana")
        number = draft()
        me = make_contact("Marta", "551187654321")  # the same number, without its ninth digit
        assert conversation_of(tried(number)).contact_id == me.id
        other = conversation_of(tried(number, "+55 21 99876-5432")).contact_id
        made = db.session.get_one(Contact, other)
        assert (made.phone, made.name) == ("+5521998765432", "Marta")
        assert conversation_of(tried(number, "21 99876-5432")).contact_id == other

    def test_the_values_are_those_of_whom_one_names(self, any_app: Flask) -> None:
        make_contact("Ana")
        bia = make_contact("Bia")
        number = draft()
        assert tried(number, like=str(bia.id)).text == "Olá Bia!"
        assert tried(number, like=bia.phone or "").text == "Olá Bia!"

    def test_without_an_audience_they_are_those_of_the_phone(self, any_app: Flask) -> None:
        template = make_template("Olá {{1}}!")
        campaign = create_draft(
            make_channel(), name="N", template_id=template.id, on_doubt="show", by="ana"
        )
        campaign.parameters = {"1": "field:name"}
        number = campaign.id
        db.session.commit()
        make_contact("Marta", "5511987654321")
        assert tried(number).text == "Olá Marta!"

    def test_a_paused_one_is_tried_with_whom_it_was_frozen_to(self, any_app: Flask) -> None:
        make_contact("Ana")
        number = draft()
        start(number)
        do(service.pause_campaign, number)
        late = make_contact("Zoé")
        before = counts(number)
        assert tried(number).text == "Olá Ana!"
        deliver()
        assert counts(number) == before
        with pytest.raises(InvalidInput, match="not in the campaign's audience"):
            send_trial(number, MARTA, phone=PHONE, like=str(late.id))
        db.session.rollback()

    def test_the_conversation_stays_the_bots(self, any_app: Flask) -> None:
        make_contact("Ana")
        conversation = conversation_of(tried(draft()))
        assert conversation.state == ConversationState.BOT
        assert conversation.assigned_user_id is None

    def test_the_same_form_twice_is_one_test(self, any_app: Flask) -> None:
        make_contact("Ana")
        number = draft()
        first = tried(number, client_token="t").id
        assert tried(number, client_token="t").id == first
        assert (number_of(Message), number_of(Trial)) == (1, 1)
        assert tried(number, client_token="u").id != first

    def test_a_campaign_that_was_tried_starts_as_if_it_had_not(self, any_app: Flask) -> None:
        make_contact("Ana")
        number = draft()
        tried(number)
        deliver()
        start(number)
        assert len(send().sent) == 2  # who tried it is a contact now, like others
        assert counts(number) == {"accepted": 2}


def conversation_of(message: Message) -> Conversation:
    return db.session.get_one(Conversation, message.conversation_id)


class TestRefusals:
    @pytest.mark.parametrize("phone", ["", "abc", "98765-4321", "+00 1"])
    def test_a_bad_phone(self, app: Flask, phone: str) -> None:
        make_contact("Ana")
        assert refused(draft(), phone).field == "phone"

    def test_a_template_that_meta_does_not_send(self, app: Flask) -> None:
        make_contact("Ana")
        number = draft()
        db.session.execute(sa.update(MessageTemplate).values(status="PAUSED"))
        db.session.commit()
        assert refused(number).field == "template"

    def test_a_parameter_that_has_no_source(self, app: Flask) -> None:
        make_contact("Ana")
        number = draft()
        db.session.execute(sa.update(Campaign).values(parameters={}))
        db.session.commit()
        error = refused(number)
        assert (error.field, "{{1}}" in str(error)) == ("param", True)

    def test_a_value_that_the_example_lacks(self, app: Flask) -> None:
        make_contact("Ana")
        error = refused(draft("Olá {{1}}", ("1=field:plano",)))
        assert (error.field, "Ana has no plano" in str(error)) == ("like", True)

    def test_somebody_who_wants_no_campaigns(self, any_app: Flask) -> None:
        make_contact("Ana")
        me = db.session.merge(make_contact("Marta", "5511987654321"))
        opt_out(me, "bot")
        db.session.commit()
        assert refused(draft()).field == "phone"

    def test_somebody_who_opted_out_and_was_erased(self, any_app: Flask) -> None:
        make_contact("Ana")
        me = db.session.merge(make_contact("Marta", "5511987654321"))
        opt_out(me, "bot")
        forget_contact(me)
        db.session.commit()
        before = number_of(Contact)
        assert refused(draft()).field == "phone"
        assert number_of(Contact) == before

    def test_an_example_that_is_nobody(self, app: Flask) -> None:
        make_contact("Ana")
        assert refused(draft(), like="99999").field == "like"

    def test_one_that_runs_or_is_over(self, app: Flask) -> None:
        make_contact("Ana")
        number = draft()
        start(number)
        assert isinstance(refused(number), Conflict)
        do(service.cancel_campaign, number)
        assert isinstance(refused(number), Conflict)


class TestCommand:
    def test_it_prints_what_it_queued(self, any_app: Flask) -> None:
        make_contact("Ana")
        number = str(draft())
        run = any_app.test_cli_runner().invoke
        told = run(args=["campaigns", "test", number, "--to", PHONE, "--json"])
        found = json.loads(told.output)
        assert (found["state"], found["text"]) == ("queued", "Olá Ana!")
        assert db.session.scalars(sa.select(Trial.sent_by)).one() == "CLI"
        db.session.rollback()
        plain = run(args=["campaigns", "test", number, "--to", PHONE])
        assert plain.output.strip() == str(found["message_id"] + 1)

    def test_a_refusal_names_the_field(self, app: Flask) -> None:
        make_contact("Ana")
        number = str(draft())
        told = app.test_cli_runner().invoke(args=["campaigns", "test", number, "--to", "x"])
        assert (told.exit_code, "phone: The phone has letters" in told.output) == (1, True)
