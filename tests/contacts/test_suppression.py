"""Opt-outs outlive the contact."""

from __future__ import annotations

import io
from datetime import timedelta

import sqlalchemy as sa
from flask import Flask

from chatbot.brazil.phone import match_key
from chatbot.contacts.imports.importer import import_contacts
from chatbot.contacts.models import (
    ConsentEvent,
    Contact,
    ContactIdentity,
    IdentityKind,
    Suppression,
)
from chatbot.contacts.reachability import record_bsuids, record_opt_outs
from chatbot.contacts.service import (
    SenderIdentity,
    change_identity,
    opt_in,
    opt_out,
    resolve_contact,
)
from chatbot.contacts.suppression import compute_digest
from chatbot.core import clock
from chatbot.core.db import db
from tests.support.factories import ago

PHONE, OTHER = "5511987654321", "5511987654322"
BSUID = "BR.13491208655302741918"


def resolve_and_commit(**names: str) -> Contact:
    contact = resolve_contact(SenderIdentity(**names))
    db.session.commit()
    return contact


def delete_all_contacts() -> None:
    """Delete all contacts as by hand in SQL."""
    for table in (ConsentEvent, ContactIdentity, Contact):
        db.session.execute(sa.delete(table))
    db.session.commit()


def list_digests() -> set[str]:
    db.session.rollback()
    return set(db.session.scalars(sa.select(Suppression.digest)))


def list_events() -> list[tuple[str, str]]:
    rows = db.session.execute(
        sa.select(ConsentEvent.kind, ConsentEvent.source).order_by(ConsentEvent.id)
    )
    return [(kind, source) for kind, source in rows]


def test_a_deleted_contact_who_writes_again_stays_opted_out(any_app: Flask) -> None:
    opt_out(resolve_and_commit(wa_id=PHONE), "bot", "SAIR", ago(60))
    delete_all_contacts()
    again = resolve_and_commit(
        wa_id=PHONE.replace("9", "", 1), name="Ana"
    )  # spelled without the ninth digit
    assert again.opted_out_at is not None
    assert list_events() == [("opt_out", "suppression")]
    assert resolve_and_commit(wa_id=OTHER).opted_out_at is None


def test_a_deleted_contact_who_is_imported_again_stays_opted_out(any_app: Flask) -> None:
    opt_out(resolve_and_commit(wa_id=PHONE), "bot", "SAIR", ago(60))
    delete_all_contacts()
    lines = f"phone,name,opt_in\n{OTHER},Bia,sim\n{PHONE},Ana,sim\n"
    assert import_contacts(io.BytesIO(lines.encode())).opted_in == 1
    bia, ana = db.session.scalars(sa.select(Contact).order_by(Contact.id))
    assert (bia.opted_out_at, bia.name) == (None, "Bia")
    assert ana.opted_out_at is not None
    assert sorted(list_events()) == [("opt_in", "import"), ("opt_out", "suppression")]


def test_an_opt_in_ends_suppression_of_all_identities(any_app: Flask) -> None:
    contact = resolve_and_commit(wa_id=PHONE, bsuid=BSUID)
    opt_out(contact, "bot")
    db.session.commit()
    assert len(list_digests()) == 2
    opt_in(contact, "agent", "asked by phone")
    db.session.commit()
    assert list_digests() == set()
    delete_all_contacts()
    assert resolve_and_commit(wa_id=PHONE).opted_out_at is None


def test_an_identity_added_later_is_suppressed_too(any_app: Flask) -> None:
    opt_out(resolve_and_commit(wa_id=PHONE), "bot")
    resolve_and_commit(wa_id=PHONE, bsuid=BSUID)
    delete_all_contacts()
    assert resolve_and_commit(bsuid=BSUID).opted_out_at is not None


def test_a_user_id_from_a_status_is_suppressed_too(any_app: Flask) -> None:
    opt_out(resolve_and_commit(wa_id=PHONE), "bot")
    db.session.commit()
    with db.engine.begin() as connection:
        record_bsuids(connection, {PHONE: BSUID})
    delete_all_contacts()
    assert resolve_and_commit(bsuid=BSUID).opted_out_at is not None


def test_a_known_contact_who_gets_a_suppressed_phone_is_opted_out(any_app: Flask) -> None:
    opt_out(resolve_and_commit(wa_id=PHONE), "bot", "SAIR", ago(60))
    delete_all_contacts()
    assert resolve_and_commit(bsuid=BSUID).opted_out_at is None
    assert resolve_and_commit(bsuid=BSUID, wa_id=PHONE).opted_out_at is not None


def test_a_later_opt_in_overrides_the_suppression(any_app: Flask) -> None:
    opt_out(resolve_and_commit(wa_id=PHONE), "bot", "SAIR", ago(60))
    delete_all_contacts()
    opt_in(resolve_and_commit(bsuid=BSUID), "bot", "quero receber")
    assert resolve_and_commit(bsuid=BSUID, wa_id=PHONE).opted_out_at is None


def test_a_released_number_is_not_suppressed_for_its_next_owner(any_app: Flask) -> None:
    opt_out(resolve_and_commit(wa_id=PHONE), "bot", "SAIR", ago(60))
    change_identity(SenderIdentity(wa_id=PHONE), SenderIdentity(wa_id=OTHER), clock.now())
    db.session.commit()
    delete_all_contacts()
    assert resolve_and_commit(wa_id=PHONE).opted_out_at is None
    assert resolve_and_commit(wa_id=OTHER).opted_out_at is not None


def test_an_opt_out_reported_by_meta_is_suppressed_too(any_app: Flask) -> None:
    contact_id = resolve_and_commit(wa_id=PHONE).id
    db.session.rollback()
    with db.engine.begin() as connection:
        record_opt_outs(connection, {contact_id: clock.now() - timedelta(seconds=1)}, "131050")
    delete_all_contacts()
    assert resolve_and_commit(wa_id=PHONE).opted_out_at is not None


def test_a_later_import_does_not_override_an_earlier_opt_out(any_app: Flask) -> None:
    lines = f"phone,opt_in\n{PHONE},sim\n"
    import_contacts(io.BytesIO(lines.encode()))
    contact_id = db.session.scalars(sa.select(Contact.id)).one()
    db.session.rollback()
    with db.engine.begin() as connection:  # a late webhook
        record_opt_outs(connection, {contact_id: ago(60)}, "131050")
    assert resolve_and_commit(wa_id=PHONE).opted_out_at is not None


def test_digests_reveal_no_phone_and_depend_on_the_key(any_app: Flask) -> None:
    opt_out(resolve_and_commit(wa_id=PHONE), "bot")
    db.session.commit()
    (digest,) = list_digests()
    assert digest == compute_digest(IdentityKind.PHONE, match_key(PHONE))
    settings = any_app.extensions["prosa_settings"]
    assert settings.suppression_key.encode() not in (b"", settings.secret_key.encode())
    assert PHONE[-8:] not in digest
