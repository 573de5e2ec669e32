from __future__ import annotations

import io
import threading

import pytest
import sqlalchemy as sa
from flask import Flask

from chatbot.contacts.imports.importer import import_contacts
from chatbot.contacts.models import ConsentEvent, Contact, ContactIdentity, ContactTag
from chatbot.contacts.service import (
    SenderIdentity,
    change_identity,
    opt_in,
    opt_out,
    resolve_contact,
)
from chatbot.core import clock
from chatbot.core.db import db

WITH_NINE, WITHOUT = "5511987654321", "551187654321"
BSUID = "BR.13491208655302741918"


def resolve(**names: str) -> int:
    contact_id = resolve_contact(SenderIdentity(**names)).id
    db.session.commit()
    return contact_id


def list_unmerged() -> list[Contact]:
    db.session.rollback()
    return list(db.session.scalars(sa.select(Contact).where(Contact.merged_into_id.is_(None))))


def test_a_phone_with_and_without_ninth_digit_is_one_contact(any_app: Flask) -> None:
    assert resolve(wa_id=WITH_NINE) == resolve(wa_id=WITHOUT)
    (contact,) = list_unmerged()
    assert contact.wa_id == WITHOUT, "we send to what Meta called them last"


def test_an_imported_contact_is_recognized_when_they_write(any_app: Flask) -> None:
    import_contacts(io.BytesIO(b"phone,name\n11 98765-4321,Ana Lima\n"))
    resolve(wa_id=WITHOUT, name="aninha")
    (contact,) = list_unmerged()
    assert (contact.name, contact.wa_id, contact.phone) == ("Ana Lima", WITHOUT, f"+{WITH_NINE}")


def test_both_spellings_in_one_file_are_one_contact(any_app: Flask) -> None:
    report = import_contacts(
        io.BytesIO(b"phone,name,tags\n(11) 98765-4321,Ana,a\n11 8765-4321,Ana Lima,b\n")
    )
    (contact,) = list_unmerged()
    assert (contact.name, report.added, report.repeated) == ("Ana Lima", 1, 1)


def test_a_payload_with_phone_and_user_id_merges_their_contacts(any_app: Flask) -> None:
    by_id, by_phone = resolve(bsuid=BSUID), resolve(wa_id=WITH_NINE)
    phone_contact = db.session.get_one(Contact, by_phone)
    phone_contact.document, phone_contact.name = "52998224725", "Ana"
    phone_contact.attributes = {"plano": "fibra"}
    db.session.add(ContactTag(contact_id=by_phone, name="cliente"))
    opt_out(phone_contact, "bot")
    db.session.commit()
    assert resolve(wa_id=WITH_NINE, bsuid=BSUID) == by_id
    (contact,) = list_unmerged()
    assert (contact.id, contact.wa_id, contact.name) == (by_id, WITH_NINE, "Ana")
    assert (contact.document, contact.attributes) == ("52998224725", {"plano": "fibra"})
    assert contact.opted_out_at is not None, "who opted out stays opted out"
    assert db.session.scalars(
        sa.select(ContactTag.name).where(ContactTag.contact_id == by_id)
    ).all()
    owners = set(db.session.scalars(sa.select(ContactIdentity.contact_id)))
    assert owners == {by_id}


def test_a_chain_of_merges_points_to_the_remaining_contact(any_app: Flask) -> None:
    first, second = resolve(bsuid=BSUID), resolve(wa_id="5511911112222")
    third = resolve(wa_id=WITH_NINE)
    change_identity(
        SenderIdentity(wa_id="5511911112222"), SenderIdentity(wa_id=WITH_NINE), clock.now()
    )
    db.session.commit()
    resolve(wa_id=WITH_NINE, bsuid=BSUID)
    pointers = {c.id: c.merged_into_id for c in db.session.scalars(sa.select(Contact))}
    assert pointers == {first: None, second: first, third: first}


def test_a_username_with_a_new_owner_merges_no_contacts(any_app: Flask) -> None:
    old = resolve(bsuid="BR.1", username="@joao")
    new = resolve(bsuid="BR.2", username="joao")
    assert old != new
    assert len(list_unmerged()) == 2
    assert resolve(username="JOAO") == new, "it belongs to who used it last"


def test_a_new_number_belongs_to_the_same_contact(any_app: Flask) -> None:
    old = resolve(wa_id=WITH_NINE)
    change_identity(
        SenderIdentity(wa_id=WITH_NINE), SenderIdentity(wa_id="5521976543210"), clock.now()
    )
    db.session.commit()
    assert resolve(wa_id="5521976543210") == old
    assert list_unmerged()[0].wa_id == "5521976543210"


def test_a_sender_without_identity_is_refused(app: Flask) -> None:
    with pytest.raises(ValueError, match="without phone"):
        resolve_contact(SenderIdentity())


def test_eight_concurrent_workers_create_one_contact(any_app: Flask) -> None:
    barrier = threading.Barrier(8)
    errors: list[BaseException] = []

    def work() -> None:
        with any_app.app_context():
            barrier.wait()
            try:
                resolve(wa_id=WITH_NINE, bsuid=BSUID)
            except sa.exc.IntegrityError:
                db.session.rollback()  # the caller tries again
            except BaseException as error:
                errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(list_unmerged()) == 1


def test_an_opt_out_is_recorded_once_and_each_opt_in_separately(any_app: Flask) -> None:
    contact = db.session.get_one(Contact, resolve(wa_id=WITH_NINE))
    for _ in range(2):
        opt_out(contact, "bot", "SAIR" * 300)
    for _ in range(2):
        opt_in(contact, "panel")
    db.session.commit()
    events = db.session.scalars(sa.select(ConsentEvent).order_by(ConsentEvent.id)).all()
    assert [event.kind for event in events] == ["opt_out", "opt_in", "opt_in"]
    assert len(events[0].evidence) == 500
