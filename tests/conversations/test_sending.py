"""Files, buttons and message templates sent by an agent."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from chatbot.conversations.models import Conversation, Message
from chatbot.conversations.replies import ReplySource, skip_unsendable
from chatbot.core import clock
from chatbot.core.db import db
from chatbot.media_transfers.tasks import transfer_media
from tests.support.factories import make_channel
from tests.support.gateways import ScriptedGateway
from tests.support.meta_media_server import JPEG, OGG, PDF, MetaMediaServer
from tests.support.panel import (
    find_user,
    make_contact,
    make_conversation,
    make_template,
    reload_conversation,
    sign_in,
)
from tests.support.sending import make_sender

LONG_AGO = timedelta(hours=30)


@pytest.fixture
def meta() -> Iterator[MetaMediaServer]:
    with MetaMediaServer() as server:
        yield server


@pytest.fixture
def app(any_app: Flask, meta: MetaMediaServer) -> Flask:
    settings = any_app.extensions["prosa_settings"]
    any_app.extensions["prosa_settings"] = replace(settings, whatsapp_api_url=meta.url)
    return any_app


@pytest.fixture
def ana(app: Flask) -> FlaskClient:
    return sign_in(app, "Ana")


def post_reply(client: FlaskClient, conversation: Conversation, **form: Any) -> Any:
    if "file" in form:
        content, name = form["file"]
        form["file"] = (io.BytesIO(content), name)
    return client.post(f"/conversations/{conversation.id}/reply", data=form)


def run_reply_sender() -> list[dict[str, Any]]:
    gateway = ScriptedGateway()
    source = ReplySource(db.engine, make_channel().id)
    asyncio.run(make_sender(source, gateway).run(5))
    return gateway.sent


def messages() -> list[Message]:
    db.session.rollback()
    return list(db.session.scalars(sa.select(Message).order_by(Message.id)))


class TestFiles:
    def test_a_file_is_sent_after_its_upload_and_later_messages_wait(
        self, ana: FlaskClient, meta: MetaMediaServer
    ) -> None:
        conversation = make_conversation(make_contact())
        assert (
            post_reply(ana, conversation, text="Segue", file=(PDF, "boleto.pdf")).status_code == 303
        )
        assert post_reply(ana, conversation, text="Qualquer dúvida, escreva.").status_code == 303
        assert run_reply_sender() == []
        transfer_media()
        sent = run_reply_sender()
        assert [body["type"] for body in sent] == ["document", "text"]
        assert sent[0]["document"] == {"id": "9001", "caption": "Segue", "filename": "boleto.pdf"}
        assert "boleto.pdf" in ana.get(f"/conversations/{messages()[0].conversation_id}").text

    def test_a_file_needs_no_text_and_audio_is_followed_by_its_text(
        self, ana: FlaskClient, meta: MetaMediaServer
    ) -> None:
        conversation = make_conversation(make_contact())
        assert post_reply(ana, conversation, file=(JPEG, "foto.jpg")).status_code == 303
        assert post_reply(ana, conversation, text="ouça", file=(OGG, "a.ogg")).status_code == 303
        transfer_media()
        assert [body["type"] for body in run_reply_sender()] == ["image", "audio", "text"]

    @pytest.mark.parametrize(
        ("name", "content"), [("foto.jpg", PDF), ("virus.exe", b"MZ\0"), ("vazio.pdf", b"")]
    )
    def test_a_file_that_whatsapp_does_not_accept_is_refused_at_once(
        self, ana: FlaskClient, name: str, content: bytes
    ) -> None:
        conversation = make_conversation(make_contact())
        answer = post_reply(ana, conversation, text="guarde isto", file=(content, name))
        assert answer.status_code == 422
        assert "field-error" in answer.text
        assert "guarde isto" in answer.text
        assert messages() == []

    def test_a_caption_over_its_limit_queues_nothing(self, ana: FlaskClient) -> None:
        conversation = make_conversation(make_contact())
        answer = post_reply(ana, conversation, text="x" * 1025, file=(JPEG, "a.jpg"))
        assert (answer.status_code, messages()) == (422, [])
        assert "1025" in answer.text
        kept = db.session.scalar(sa.text("SELECT count(*) FROM media_files"))
        assert kept == 0

    def test_a_file_refused_by_meta_is_skipped_with_a_reason_and_blocks_nothing(
        self, ana: FlaskClient, meta: MetaMediaServer
    ) -> None:
        conversation = make_conversation(make_contact())
        meta.upload_answers = [(400, {"error": {"code": 131053, "message": "no"}})]
        post_reply(ana, conversation, file=(JPEG, "foto.jpg"))
        post_reply(ana, conversation, text="e isto")
        transfer_media()
        with db.engine.begin() as connection:
            assert skip_unsendable(connection) == 1
        assert [body["text"]["body"] for body in run_reply_sender()] == ["e isto"]
        refused, _after = messages()
        assert (refused.state, refused.skip_reason) == ("skipped", "media_refused")


class TestButtons:
    def test_an_agents_buttons_are_sent_as_reply_buttons(self, ana: FlaskClient) -> None:
        conversation = make_conversation(make_contact())
        form = {"text": "Pode ser?", "button_1": "Sim", "button_2": " Não ", "button_3": ""}
        assert post_reply(ana, conversation, **form).status_code == 303
        (body,) = run_reply_sender()
        buttons = body["interactive"]["action"]["buttons"]
        assert [b["reply"]["title"] for b in buttons] == ["Sim", "Não"]

    @pytest.mark.parametrize(
        "form",
        [
            {"text": "Pode?", "button_1": "b" * 21},
            {"text": "Pode?", "button_1": "Sim", "button_2": "Sim"},
            {"text": "x" * 1025, "button_1": "Sim"},
        ],
    )
    def test_a_button_over_a_limit_shows_an_error(
        self, ana: FlaskClient, form: dict[str, str]
    ) -> None:
        conversation = make_conversation(make_contact())
        answer = post_reply(ana, conversation, **form)
        assert (answer.status_code, messages()) == (422, [])
        assert "field-error" in answer.text


class TestTemplates:
    def test_after_24_hours_only_a_template_is_sent(self, ana: FlaskClient) -> None:
        conversation = make_conversation(make_contact(), last_inbound_at=clock.now() - LONG_AGO)
        template = make_template()
        address = f"/conversations/{conversation.id}/template"
        page = ana.get(address, query_string={"template_id": template.id}).text
        assert 'name="value-2"' in page
        form = {
            "template_id": template.id,
            "value-1": "Ana",
            "value-2": "10/12",
            "client_token": "t",
        }
        preview = ana.get(f"{address}/preview", query_string=form).text
        assert "Olá Ana, vence dia 10/12." in preview
        for _ in range(2):
            assert ana.post(address, data=form).status_code == 303
        with db.engine.begin() as connection:
            assert skip_unsendable(connection) == 0
        (body,) = run_reply_sender()
        (component,) = body["template"]["components"]
        assert [p["text"] for p in component["parameters"]] == ["Ana", "10/12"]
        assert reload_conversation(conversation).assigned_user_id == find_user("Ana").id
        assert post_reply(ana, conversation, text="e agora?").status_code == 409

    def test_a_parameter_without_value_shows_an_error_and_keeps_the_others(
        self, ana: FlaskClient
    ) -> None:
        conversation = make_conversation(make_contact())
        form = {"template_id": make_template().id, "value-1": "Ana"}
        answer = ana.post(f"/conversations/{conversation.id}/template", data=form)
        assert answer.status_code == 422
        assert 'id="value-2-error"' in answer.text
        assert 'value="Ana"' in answer.text
        assert messages() == []

    def test_marketing_is_not_sent_to_an_opted_out_contact(self, ana: FlaskClient) -> None:
        contact = make_contact()
        contact.opted_out_at = clock.now()
        conversation = make_conversation(contact)
        template = make_template(body="Promoção!")
        template.category = "MARKETING"
        db.session.commit()
        address = f"/conversations/{conversation.id}/template"
        assert ana.post(address, data={"template_id": template.id}).status_code == 409
        template.category = "UTILITY"
        db.session.commit()
        assert ana.post(address, data={"template_id": template.id}).status_code == 303

    def test_a_paused_template_is_neither_offered_nor_sent(self, ana: FlaskClient) -> None:
        conversation = make_conversation(make_contact())
        template = make_template(body="Oi")
        template.status = "PAUSED"
        db.session.commit()
        address = f"/conversations/{conversation.id}/template"
        assert f'value="{template.id}"' not in ana.get(address).text
        assert ana.post(address, data={"template_id": template.id}).status_code == 422
        assert ana.post(address, data={"template_id": "x"}).status_code == 404
