"""Who said no is known again, whatever became of the contact that said it."""

from __future__ import annotations

import io
from datetime import timedelta

import sqlalchemy as sa
from flask import Flask

from chatbot.contacts.importing import import_contacts
from chatbot.contacts.models import (
    ConsentEvent,
    Contact,
    ContactIdentity,
    IdentityKind,
    Suppression,
)
from chatbot.contacts.reachability import learn_user_ids, note_opt_outs
from chatbot.contacts.service import Sender, change_identity, opt_in, opt_out, resolve_contact
from chatbot.contacts.suppression import digest_of
from chatbot.core import clock
from chatbot.core.db import db
from chatbot.core.phone import match_key
from tests.support.making import ago

PHONE, OTHER = "5511987654321", "5511987654322"
BSUID = "BR.13491208655302741918"


def meet(**names: str) -> Contact:
    contact = resolve_contact(Sender(**names))
    db.session.commit()
    return contact


def delete_everybody() -> None:
    """As somebody would who removes a contact in SQL."""
    for table in (ConsentEvent, ContactIdentity, Contact):
        db.session.execute(sa.delete(table))
    db.session.commit()


def digests() -> set[str]:
    db.session.rollback()
    return set(db.session.scalars(sa.select(Suppression.digest)))


def events() -> list[tuple[str, str]]:
    rows = db.session.execute(
        sa.select(ConsentEvent.kind, ConsentEvent.source).order_by(ConsentEvent.id)
    )
    return [(kind, source) for kind, source in rows]


def test_who_opted_out_stays_so_when_they_are_deleted_and_write_again(any_app: Flask) -> None:
    opt_out(meet(wa_id=PHONE), "bot", "SAIR", ago(60))
    delete_everybody()
    again = meet(wa_id=PHONE.replace("9", "", 1), name="Ana")  # spelled without the ninth digit
    assert again.opted_out_at is not None
    assert events() == [("opt_out", "suppression")]
    assert meet(wa_id=OTHER).opted_out_at is None


def test_who_opted_out_stays_so_when_they_are_deleted_and_imported_again(any_app: Flask) -> None:
    opt_out(meet(wa_id=PHONE), "bot", "SAIR", ago(60))
    delete_everybody()
    lines = f"phone,name,opt_in\n{OTHER},Bia,sim\n{PHONE},Ana,sim\n"
    assert import_contacts(io.BytesIO(lines.encode())).opted_in == 1
    bia, ana = db.session.scalars(sa.select(Contact).order_by(Contact.id))
    assert (bia.opted_out_at, bia.name) == (None, "Bia")
    assert ana.opted_out_at is not None
    assert sorted(events()) == [("opt_in", "import"), ("opt_out", "suppression")]


def test_an_agreement_ends_it_for_all_names(any_app: Flask) -> None:
    contact = meet(wa_id=PHONE, bsuid=BSUID)
    opt_out(contact, "bot")
    db.session.commit()
    assert len(digests()) == 2
    opt_in(contact, "agent", "asked by phone")
    db.session.commit()
    assert digests() == set()
    delete_everybody()
    assert meet(wa_id=PHONE).opted_out_at is None


def test_a_name_that_is_learnt_later_is_suppressed_too(any_app: Flask) -> None:
    opt_out(meet(wa_id=PHONE), "bot")
    meet(wa_id=PHONE, bsuid=BSUID)
    delete_everybody()
    assert meet(bsuid=BSUID).opted_out_at is not None


def test_a_user_id_that_a_status_tells_is_suppressed_too(any_app: Flask) -> None:
    opt_out(meet(wa_id=PHONE), "bot")
    db.session.commit()
    with db.engine.begin() as connection:
        learn_user_ids(connection, {PHONE: BSUID})
    delete_everybody()
    assert meet(bsuid=BSUID).opted_out_at is not None


def test_a_suppressed_phone_that_a_known_contact_turns_out_to_have_counts(any_app: Flask) -> None:
    opt_out(meet(wa_id=PHONE), "bot", "SAIR", ago(60))
    delete_everybody()
    assert meet(bsuid=BSUID).opted_out_at is None
    assert meet(bsuid=BSUID, wa_id=PHONE).opted_out_at is not None


def test_what_they_said_after_it_counts_more(any_app: Flask) -> None:
    opt_out(meet(wa_id=PHONE), "bot", "SAIR", ago(60))
    delete_everybody()
    opt_in(meet(bsuid=BSUID), "bot", "quero receber")
    assert meet(bsuid=BSUID, wa_id=PHONE).opted_out_at is None


def test_a_number_that_was_left_is_free_for_a_stranger(any_app: Flask) -> None:
    opt_out(meet(wa_id=PHONE), "bot", "SAIR", ago(60))
    change_identity(Sender(wa_id=PHONE), Sender(wa_id=OTHER), clock.now())
    db.session.commit()
    delete_everybody()
    assert meet(wa_id=PHONE).opted_out_at is None
    assert meet(wa_id=OTHER).opted_out_at is not None


def test_an_opt_out_that_meta_tells_is_kept_too(any_app: Flask) -> None:
    contact_id = meet(wa_id=PHONE).id
    db.session.rollback()
    with db.engine.begin() as connection:
        note_opt_outs(connection, {contact_id: clock.now() - timedelta(seconds=1)}, "131050")
    delete_everybody()
    assert meet(wa_id=PHONE).opted_out_at is not None


def test_a_list_of_later_does_not_outweigh_what_somebody_said_before(any_app: Flask) -> None:
    lines = f"phone,opt_in\n{PHONE},sim\n"
    import_contacts(io.BytesIO(lines.encode()))
    contact_id = db.session.scalars(sa.select(Contact.id)).one()
    db.session.rollback()
    with db.engine.begin() as connection:  # the webhook comes late
        note_opt_outs(connection, {contact_id: ago(60)}, "131050")
    assert meet(wa_id=PHONE).opted_out_at is not None


def test_the_table_tells_no_phone_and_needs_the_key(any_app: Flask) -> None:
    opt_out(meet(wa_id=PHONE), "bot")
    db.session.commit()
    (digest,) = digests()
    assert digest == digest_of(IdentityKind.PHONE, match_key(PHONE))
    settings = any_app.extensions["prosa_settings"]
    assert settings.suppression_key.encode() not in (b"", settings.secret_key.encode())
    assert PHONE[-8:] not in digest
