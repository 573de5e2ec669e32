"""Preview sends are ordinary messages and do not change the campaign's figures."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from chatbot.campaigns import service
from chatbot.campaigns.drafting.drafts import create_draft
from chatbot.campaigns.models import Campaign, PreviewSend, Recipient
from chatbot.campaigns.previews.preview_sends import Requester, queue_preview_send
from chatbot.contacts.models import Contact
from chatbot.contacts.service import opt_out
from chatbot.conversations.models import Author, Conversation, ConversationState, Message
from chatbot.conversations.replies import ReplySource
from chatbot.core.db import db
from chatbot.core.errors import AppError, Conflict, InvalidInput
from chatbot.message_templates.models import MessageTemplate
from chatbot.privacy.erasure import erase_contact
from tests.support.campaigns import (
    get_campaign_counts,
    get_campaign_state,
    make_draft,
    run_and_commit,
    run_campaign_sender,
    start_campaign,
)
from tests.support.factories import make_channel, make_contact, make_template
from tests.support.gateways import ScriptedGateway
from tests.support.sending import make_sender

MARTA = Requester("Marta")
PHONE = "(11) 98765-4321"


def make_preview_send(campaign_id: int, phone: str = PHONE, **more: Any) -> Message:
    message = queue_preview_send(campaign_id, MARTA, phone=phone, **more)
    db.session.commit()
    return message


def run_reply_sender() -> list[Mapping[str, Any]]:
    """Return what the replies worker sends now."""
    gateway = ScriptedGateway()
    asyncio.run(make_sender(ReplySource(db.engine, make_channel().id), gateway).run(5))
    return gateway.sent


def get_refusal(campaign_id: int, phone: str = PHONE, **more: Any) -> AppError:
    with pytest.raises(AppError) as refusal:
        queue_preview_send(campaign_id, MARTA, phone=phone, **more)
    db.session.rollback()
    assert count_rows(Message) == count_rows(PreviewSend) == 0
    return refusal.value


def count_rows(table: Any) -> int:
    found = db.session.scalar(sa.select(sa.func.count()).select_from(table)) or 0
    db.session.rollback()
    return found


class TestSending:
    def test_message_has_the_values_of_a_contact_and_creates_no_recipient(
        self, any_app: Flask
    ) -> None:
        make_contact("Ana")
        number = make_draft("Olá {{1}}!")
        message = make_preview_send(number)
        assert (message.text, message.author, message.state) == (
            "Olá Ana!",
            Author.PREVIEW,
            "queued",
        )
        (body,) = run_reply_sender()
        assert body["to"] == "5511987654321"
        assert body["template"]["components"][0]["parameters"][0]["text"] == "Ana"
        assert body["biz_opaque_callback_data"].startswith("m:")
        assert (count_rows(Recipient), get_campaign_counts(number), get_campaign_state(number)) == (
            0,
            {},
            "draft",
        )

    def test_phone_finds_its_contact_or_creates_one(self, any_app: Flask) -> None:
        make_contact("Ana")
        number = make_draft()
        me = make_contact("Marta", "551187654321")  # the same number, without its ninth digit
        assert get_conversation_of(make_preview_send(number)).contact_id == me.id
        other = get_conversation_of(make_preview_send(number, "+55 21 99876-5432")).contact_id
        made = db.session.get_one(Contact, other)
        assert (made.phone, made.name) == ("+5521998765432", "Marta")
        assert get_conversation_of(make_preview_send(number, "21 99876-5432")).contact_id == other

    def test_values_are_those_of_the_named_contact(self, any_app: Flask) -> None:
        make_contact("Ana")
        bia = make_contact("Bia")
        number = make_draft()
        assert make_preview_send(number, like=str(bia.id)).text == "Olá Bia!"
        assert make_preview_send(number, like=bia.phone or "").text == "Olá Bia!"

    def test_values_without_an_audience_are_those_of_the_phone(self, any_app: Flask) -> None:
        template = make_template("Olá {{1}}!")
        campaign = create_draft(
            make_channel(), name="N", template_id=template.id, on_doubt="show", by="ana"
        )
        campaign.parameters = {"1": "field:name"}
        number = campaign.id
        db.session.commit()
        make_contact("Marta", "5511987654321")
        assert make_preview_send(number).text == "Olá Marta!"

    def test_a_paused_campaign_previews_with_its_frozen_audience(self, any_app: Flask) -> None:
        make_contact("Ana")
        number = make_draft()
        start_campaign(number)
        run_and_commit(service.pause_campaign, number)
        late = make_contact("Zoé")
        before = get_campaign_counts(number)
        assert make_preview_send(number).text == "Olá Ana!"
        run_reply_sender()
        assert get_campaign_counts(number) == before
        with pytest.raises(InvalidInput, match="not in the campaign's audience"):
            queue_preview_send(number, MARTA, phone=PHONE, like=str(late.id))
        db.session.rollback()

    def test_conversation_stays_with_the_bot(self, any_app: Flask) -> None:
        make_contact("Ana")
        conversation = get_conversation_of(make_preview_send(make_draft()))
        assert conversation.state == ConversationState.BOT
        assert conversation.assigned_user_id is None

    def test_same_client_token_sends_once(self, any_app: Flask) -> None:
        make_contact("Ana")
        number = make_draft()
        first = make_preview_send(number, client_token="t").id
        assert make_preview_send(number, client_token="t").id == first
        assert (count_rows(Message), count_rows(PreviewSend)) == (1, 1)
        assert make_preview_send(number, client_token="u").id != first

    def test_preview_sends_do_not_change_the_start(self, any_app: Flask) -> None:
        make_contact("Ana")
        number = make_draft()
        make_preview_send(number)
        run_reply_sender()
        start_campaign(number)
        assert len(run_campaign_sender().sent) == 2  # the tester is a contact now
        assert get_campaign_counts(number) == {"accepted": 2}


def get_conversation_of(message: Message) -> Conversation:
    return db.session.get_one(Conversation, message.conversation_id)


class TestRefusals:
    @pytest.mark.parametrize("phone", ["", "abc", "98765-4321", "+00 1"])
    def test_invalid_phone(self, app: Flask, phone: str) -> None:
        make_contact("Ana")
        assert get_refusal(make_draft(), phone).field == "phone"

    def test_unapproved_template(self, app: Flask) -> None:
        make_contact("Ana")
        number = make_draft()
        db.session.execute(sa.update(MessageTemplate).values(status="PAUSED"))
        db.session.commit()
        assert get_refusal(number).field == "template"

    def test_parameter_without_a_source(self, app: Flask) -> None:
        make_contact("Ana")
        number = make_draft()
        db.session.execute(sa.update(Campaign).values(parameters={}))
        db.session.commit()
        error = get_refusal(number)
        assert (error.field, "{{1}}" in str(error)) == ("param", True)

    def test_value_missing_in_the_example(self, app: Flask) -> None:
        make_contact("Ana")
        error = get_refusal(make_draft("Olá {{1}}", ("1=field:plano",)))
        assert (error.field, "Ana has no plano" in str(error)) == ("like", True)

    def test_contact_who_opted_out(self, any_app: Flask) -> None:
        make_contact("Ana")
        me = db.session.merge(make_contact("Marta", "5511987654321"))
        opt_out(me, "bot")
        db.session.commit()
        assert get_refusal(make_draft()).field == "phone"

    def test_contact_who_opted_out_and_was_erased(self, any_app: Flask) -> None:
        make_contact("Ana")
        me = db.session.merge(make_contact("Marta", "5511987654321"))
        opt_out(me, "bot")
        erase_contact(me)
        db.session.commit()
        before = count_rows(Contact)
        assert get_refusal(make_draft()).field == "phone"
        assert count_rows(Contact) == before

    def test_unknown_example(self, app: Flask) -> None:
        make_contact("Ana")
        assert get_refusal(make_draft(), like="99999").field == "like"

    def test_a_running_or_finished_campaign(self, app: Flask) -> None:
        make_contact("Ana")
        number = make_draft()
        start_campaign(number)
        assert isinstance(get_refusal(number), Conflict)
        run_and_commit(service.cancel_campaign, number)
        assert isinstance(get_refusal(number), Conflict)


class TestCommand:
    def test_command_prints_the_queued_message(self, any_app: Flask) -> None:
        make_contact("Ana")
        number = str(make_draft())
        run = any_app.test_cli_runner().invoke
        result = run(args=["campaigns", "test", number, "--to", PHONE, "--json"])
        found = json.loads(result.output)
        assert (found["state"], found["text"]) == ("queued", "Olá Ana!")
        assert db.session.scalars(sa.select(PreviewSend.sent_by)).one() == "CLI"
        db.session.rollback()
        plain = run(args=["campaigns", "test", number, "--to", PHONE])
        assert plain.output.strip() == str(found["message_id"] + 1)

    def test_refusal_names_the_field(self, app: Flask) -> None:
        make_contact("Ana")
        number = str(make_draft())
        result = app.test_cli_runner().invoke(args=["campaigns", "test", number, "--to", "x"])
        assert (result.exit_code, "phone: The phone has letters" in result.output) == (1, True)
