from __future__ import annotations

import sqlalchemy as sa
from flask import Flask

from chatbot.channels.media.models import MediaFile
from chatbot.contacts.models import ConsentEvent, Contact, ContactIdentity, ContactTag
from chatbot.contacts.service import SenderIdentity, opt_in, opt_out, resolve_contact
from chatbot.conversations.models import Conversation, Message
from chatbot.core.db import db
from tests.support.factories import make_channel, make_contact, make_conversation, make_inbound

PHONE = "5511987650001"
SECRETS = ("Maria", PHONE[4:], "maria@", "52998224725", "Recife", "segredo", "fibra")


def make_file(name: str) -> int:
    file = MediaFile(channel_id=make_channel().id, kind="image", file_name=name)
    db.session.add(file)
    db.session.commit()
    number = file.id
    db.session.rollback()
    return number


def test_a_contact_is_erased_but_the_opt_out_is_kept(any_app: Flask) -> None:
    maria = make_contact(
        "Maria", PHONE, email="maria@x.example", document="52998224725", username="maria",
        attributes={"cidade": "Recife"},
    )  # fmt: skip
    conversation = make_conversation(
        maria,
        last_message_text="segredo",
        last_inbound_text="segredo",
        slots={"plano": "fibra"},
    )
    photo, shared = make_file("segredo.jpg"), make_file("oferta.jpg")
    make_inbound(conversation, "segredo", payload={"body": "segredo"}, media_file_id=photo)
    make_inbound(conversation, "ok", media_file_id=shared)
    other = make_contact("Outra", "5511900000002")
    make_inbound(make_conversation(other), "olha", media_file_id=shared)
    maria = db.session.get_one(Contact, maria.id)
    db.session.add(ContactTag(contact_id=maria.id, name="vip"))
    opt_in(maria, "cli", "segredo")
    opt_out(maria, "bot", "SAIR, Maria")
    db.session.commit()
    run = any_app.test_cli_runner().invoke(args=["contacts", "forget", "11 98765-0001", "--yes"])
    assert run.exit_code == 0, run.output
    db.session.rollback()
    for model in (Contact, ContactIdentity, ContactTag, ConsentEvent, Conversation, Message):
        rows = db.session.execute(sa.select(model.__table__)).all()
        left = [row for row in rows if any(secret in repr(row) for secret in SECRETS)]
        assert not left, model
    assert db.session.scalars(sa.select(MediaFile.id)).all() == [shared]
    again = resolve_contact(SenderIdentity(wa_id=PHONE))
    assert again.id != maria.id
    assert again.opted_out_at is not None
    assert db.session.get_one(Contact, other.id).name == "Outra"


def test_an_unknown_contact_cannot_be_erased(any_app: Flask) -> None:
    runner = any_app.test_cli_runner()
    for unknown in ("11 98765-0001", "77", "ninguém"):
        run = runner.invoke(args=["contacts", "forget", unknown, "--yes"])
        assert run.exit_code == 1
        assert "Error: " in run.output


def test_consent_is_recorded_at_the_command_line(any_app: Flask) -> None:
    contact = make_contact("Maria", PHONE)
    runner = any_app.test_cli_runner()
    assert runner.invoke(args=["contacts", "opt-out", PHONE]).exit_code == 0
    assert runner.invoke(args=["contacts", "opt-in", PHONE, "--evidence", " "]).exit_code == 1
    arguments = ["contacts", "opt-in", str(contact.id), "--evidence", "form of 3 May"]
    assert runner.invoke(args=arguments).exit_code == 0
    events = db.session.scalars(sa.select(ConsentEvent).order_by(ConsentEvent.id)).all()
    assert [(e.kind, e.source, e.evidence) for e in events] == [
        ("opt_out", "cli", ""),
        ("opt_in", "cli", "form of 3 May"),
    ]
