"""Files in a thread, and read receipts with the typing indicator."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from chatbot.bot.tasks import run_turns
from chatbot.contacts.service import SenderIdentity as Person
from chatbot.conversations.inbound import InboundMessage, record_inbound
from chatbot.conversations.models import Conversation, Message
from chatbot.core import clock
from chatbot.core import redis as prosa_redis
from chatbot.core.db import db
from chatbot.core.live_events import read_live_position
from chatbot.media_transfers.tasks import transfer_media
from tests.support.call_counts import count_sql
from tests.support.factories import make_channel
from tests.support.meta_media_server import HTML, JPEG, OGG, PNG, MetaMediaServer
from tests.support.panel import (
    find_user,
    make_contact,
    make_conversation,
    sign_in,
)
from tests.support.ports import wait_for

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


def messages() -> list[Message]:
    db.session.rollback()
    return list(db.session.scalars(sa.select(Message).order_by(Message.id)))


def receive(kind: str, mime_type: str, wamid: str = "wamid.in1", **payload: Any) -> Message:
    given = {"id": "77", "mime_type": mime_type, **payload}
    message = InboundMessage(wamid=wamid, kind=kind, occurred_at=clock.now(), payload=given)
    found = record_inbound(make_channel(), Person(wa_id="5511987650001", name="Maria"), message)
    assert found is not None
    db.session.commit()
    transfer_media()
    return messages()[-1]


def count_live_events() -> int:
    return read_live_position(prosa_redis.client())[1]


def address_of(message: Message) -> str:
    return f"/conversations/{message.conversation_id}/files/{message.id}"


class TestShown:
    def test_audio_is_served_in_ranges_to_signed_in_users_only(
        self, app: Flask, ana: FlaskClient, meta: MetaMediaServer
    ) -> None:
        meta.files["77"] = OGG
        message = receive("audio", "audio/ogg; codecs=opus")
        page = ana.get(f"/conversations/{message.conversation_id}").text
        assert f'<audio class="bubble-player" src="{address_of(message)}"' in page
        part = ana.get(address_of(message), headers={"Range": "bytes=2-5"})
        assert (part.status_code, part.data) == (206, OGG[2:6])
        whole = ana.get(address_of(message))
        assert (whole.data, whole.content_type) == (OGG, "audio/ogg")
        assert "sandbox" in whole.headers["Content-Security-Policy"]
        assert whole.headers["X-Content-Type-Options"] == "nosniff"
        tag = {"If-None-Match": whole.headers["ETag"]}
        assert ana.get(address_of(message), headers=tag).status_code == 304
        assert app.test_client().get(address_of(message), headers=tag).status_code == 302

    def test_a_document_is_always_a_download(self, ana: FlaskClient, meta: MetaMediaServer) -> None:
        meta.files["77"] = HTML
        message = receive("document", "text/html", filename='a";\r\nX: y/fatura é.html')
        answer = ana.get(address_of(message))
        assert answer.data == HTML
        assert answer.content_type == "application/octet-stream"
        assert answer.headers["Content-Disposition"].startswith("attachment;")
        assert "X" not in answer.headers
        assert "fatura" in ana.get(f"/conversations/{message.conversation_id}").text

    def test_a_mislabelled_file_shows_an_error_and_cannot_be_opened(
        self, ana: FlaskClient, meta: MetaMediaServer
    ) -> None:
        meta.files["77"] = HTML
        message = receive("image", "image/jpeg")
        page = ana.get(
            f"/conversations/{message.conversation_id}", headers={"Accept-Language": "en"}
        )
        assert "its content does not match its declared type" in page.text
        assert "<img class" not in page.text
        assert ana.get(address_of(message)).status_code == 404

    def test_the_page_refreshes_when_a_download_is_complete(
        self, ana: FlaskClient, meta: MetaMediaServer
    ) -> None:
        message = receive("image", "image/jpeg")  # the download fails
        live = f"/conversations/{message.conversation_id}/live"
        before = ana.get(live).json["messages"]
        db.session.execute(
            sa.text(
                "UPDATE media_files SET transfer = 'download', problem = NULL, due_at = '2020-01-01'"
            )
        )
        db.session.commit()
        meta.files["77"] = JPEG
        before_events = count_live_events()
        assert transfer_media() is not None
        assert count_live_events() == before_events + 1
        after = ana.get(live).json["messages"]
        assert address_of(message) in after
        assert address_of(message) not in before
        assert before.split('data-version="')[1][:40] != after.split('data-version="')[1][:40]

    def test_every_thread_with_the_file_refreshes_when_its_upload_fails(
        self, ana: FlaskClient, meta: MetaMediaServer
    ) -> None:
        conversations = [
            make_conversation(make_contact(f"Pessoa {n}", f"551191234000{n}")) for n in range(2)
        ]
        pages = [f"/conversations/{each.id}" for each in conversations]
        for page in pages:
            form = {"file": (io.BytesIO(PNG), "foto.png")}
            assert ana.post(f"{page}/reply", data=form).status_code == 303
        assert all("sendo enviado" in ana.get(f"{page}/live").json["messages"] for page in pages)
        meta.upload_answers = [(400, {"error": {"code": 131053, "message": "no"}})]
        before_events = count_live_events()
        transfer_media()
        assert count_live_events() == before_events + len(pages)
        for page in pages:
            with count_sql(db.engine) as read:
                assert "não aceitou este arquivo" in ana.get(f"{page}/live").json["messages"]
            with count_sql(db.engine) as kept:
                assert "não aceitou este arquivo" in ana.get(f"{page}/live").json["messages"]
            assert (bool(read.statements), kept.statements) == (True, [])

    def test_a_file_is_found_only_in_its_own_conversation(
        self, ana: FlaskClient, meta: MetaMediaServer
    ) -> None:
        meta.files["77"] = PNG
        message = receive("image", "image/png")
        other = make_conversation(make_contact("Outro", "5511912340000"))
        assert ana.get(f"/conversations/{other.id}/files/{message.id}").status_code == 404
        assert ana.get(address_of(message)).status_code == 200


class TestReadReceipts:
    def test_the_bots_turn_sends_a_read_receipt_with_typing(
        self, app: Flask, meta: MetaMediaServer
    ) -> None:
        app.extensions["prosa_settings"] = replace(
            app.extensions["prosa_settings"], read_receipts=True
        )
        message = InboundMessage(wamid="wamid.q", kind="text", occurred_at=clock.now(), text="oi")
        record_inbound(make_channel(), Person(wa_id="5511987650001"), message)
        db.session.execute(sa.update(Conversation).values(turn_due_at=clock.now() - LONG_AGO))
        db.session.commit()
        assert run_turns() == 0
        wait_for(lambda: meta.messages, 30)
        assert meta.messages == [
            {
                "messaging_product": "whatsapp",
                "status": "read",
                "message_id": "wamid.q",
                "typing_indicator": {"type": "text"},
            }
        ]

    def test_an_agent_sends_read_receipts_only_in_their_own_conversation(
        self, app: Flask, ana: FlaskClient, meta: MetaMediaServer
    ) -> None:
        app.extensions["prosa_settings"] = replace(
            app.extensions["prosa_settings"], read_receipts=True
        )
        meta.files["77"] = PNG
        message = receive("image", "image/png", wamid="wamid.foto")
        address = f"/conversations/{message.conversation_id}/read"
        assert ana.post(address).status_code == 204
        db.session.execute(sa.update(Conversation).values(assigned_user_id=find_user("Ana").id))
        db.session.commit()
        assert ana.post(address).status_code == 204
        assert ana.post(address, data={"typing": "1"}).status_code == 204
        wait_for(lambda: len(meta.messages) == 2, 30)
        assert ["typing_indicator" in body for body in meta.messages] == [False, True]

    def test_a_turn_does_not_fail_when_read_receipts_cannot_be_sent(self, app: Flask) -> None:
        app.extensions["prosa_settings"] = replace(
            app.extensions["prosa_settings"],
            read_receipts=True,
            whatsapp_api_url="http://127.0.0.1:9/v25.0",
        )
        message = InboundMessage(wamid="wamid.q", kind="text", occurred_at=clock.now(), text="oi")
        record_inbound(make_channel(), Person(wa_id="5511987650001"), message)
        db.session.execute(sa.update(Conversation).values(turn_due_at=clock.now() - LONG_AGO))
        db.session.commit()
        assert run_turns() == 0
        assert [m.author for m in messages()][0:2] == ["contact", "bot"]
