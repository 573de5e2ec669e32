from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from chatbot.billing.models import Invoice
from chatbot.contacts.models import ConsentEvent, Contact, ContactTag
from chatbot.contacts.service import opt_out
from chatbot.core import clock
from chatbot.core.db import db
from chatbot.core.errors import InvalidInput
from chatbot.segments.condition_kinds import CONDITION_KINDS
from chatbot.segments.rules import MAX_CONDITIONS, parse_rule, select_contacts
from tests.support.factories import ago, make_contact, make_conversation

TODAY = date(2026, 11, 26)


def make_invoice(contact: Contact, due_on: date, state: str = "open") -> None:
    count = db.session.scalar(sa.select(sa.func.count(Invoice.id)))
    db.session.add(
        Invoice(
            contact_id=contact.id,
            reference=f"f{count}",
            description="Internet",
            due_on=due_on,
            amount_cents=9990,
            state=state,
        )
    )
    db.session.commit()


@pytest.fixture
def people(any_app: Flask) -> None:
    """Make five contacts that differ in everything a condition can match."""
    ana = make_contact("Ana", attributes={"plano": "Fibra 500", "bairro": "Centro"})
    bia = make_contact("Bia", attributes={"plano": "fibra 100"})
    caio = make_contact("Caio")
    davi = make_contact("Davi", attributes={"plano": "  "})
    twin = make_contact("Ana de novo", merged_into_id=ana.id)
    db.session.add_all(
        [
            ContactTag(contact_id=ana.id, name="vip"),
            ContactTag(contact_id=bia.id, name="inadimplente"),
            ContactTag(contact_id=twin.id, name="vip"),
            *(
                ConsentEvent(contact_id=who.id, kind="opt_in", source="form", happened_at=ago(9))
                for who in (ana, bia)
            ),
        ]
    )
    opt_out(db.session.get_one(Contact, bia.id), "bot")
    db.session.commit()
    make_conversation(ana, last_inbound_at=clock.now())
    make_conversation(bia, last_inbound_at=ago(40 * 86400))
    make_invoice(twin, TODAY + timedelta(days=3))
    make_invoice(bia, TODAY - timedelta(days=10))
    make_invoice(caio, TODAY - timedelta(days=10), state="paid")
    make_invoice(davi, TODAY)


def list_names(*groups: list[dict[str, Any]]) -> set[str]:
    query = select_contacts(parse_rule(list(groups)), TODAY)
    found = db.session.scalars(sa.select(Contact.name).where(Contact.id.in_(query)))
    return set(found)


EVERYBODY = {"Ana", "Bia", "Caio", "Davi"}
CONDITIONS = [
    ({"kind": "tag", "value": "vip"}, {"Ana"}),
    ({"kind": "attribute_is", "name": "plano", "value": "FIBRA 100"}, {"Bia"}),
    ({"kind": "attribute_contains", "name": "plano", "value": "fibra"}, {"Ana", "Bia"}),
    ({"kind": "attribute_contains", "name": "plano", "value": "%"}, set()),
    ({"kind": "has_attribute", "name": "plano"}, {"Ana", "Bia"}),
    ({"kind": "has_attribute", "name": "it's"}, set()),
    ({"kind": "opted_in"}, {"Ana"}),
    ({"kind": "opted_out"}, {"Bia"}),
    ({"kind": "seen_within", "value": "30"}, {"Ana"}),
    ({"kind": "invoice_due_within", "value": "3"}, {"Ana", "Davi"}),
    ({"kind": "invoice_due_within", "value": "0"}, {"Davi"}),
    ({"kind": "invoice_overdue", "value": "0"}, {"Bia"}),
    ({"kind": "invoice_overdue", "value": "11"}, set()),
]


def test_each_kind_finds_its_contacts_and_negated_all_others(people: None) -> None:
    for condition, found in CONDITIONS:
        assert list_names([condition]) == found, condition
        assert list_names([{**condition, "negated": True}]) == EVERYBODY - found, condition
    assert {condition["kind"] for condition, _found in CONDITIONS} == set(CONDITION_KINDS)


def test_groups_are_combined_by_and_and_conditions_by_or(people: None) -> None:
    vip, late = {"kind": "tag", "value": "vip"}, {"kind": "tag", "value": "inadimplente"}
    assert list_names([vip, late]) == {"Ana", "Bia"}
    assert list_names([vip], [late]) == set()
    assert list_names([vip, late], [{"kind": "opted_out", "negated": True}]) == {"Ana"}


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        (None, "cannot be read"),
        ("tag:vip", "cannot be read"),
        ({"kind": "tag"}, "cannot be read"),
        ([[{"kind": "tag", "value": "x", "sql": "1=1"}]], "cannot be read"),
        ([[{"kind": "tag", "value": 1}]], "cannot be read"),
        ([], "at least one"),
        ([[]], "at least one"),
        ([[{"kind": "tag", "value": "a"}], []], "at least one"),
        ([[{"kind": "horoscope"}]], "Line 1: choose"),
        ([[{"kind": "opted_in"}], [{"kind": "tag", "value": " "}]], "Line 2: enter the value"),
        ([[{"kind": "has_attribute", "name": ""}]], "enter the attribute"),
        ([[{"kind": "has_attribute", "name": 'a"b'}]], "without quotation"),
        ([[{"kind": "seen_within", "value": "-1"}]], "number of days"),
        ([[{"kind": "seen_within", "value": "²"}]], "number of days"),
        ([[{"kind": "seen_within", "value": "99999"}]], "number of days"),
        ([[{"kind": "tag", "value": "x" * 201}]], "at most 200"),
        ([[{"kind": "opted_in"}] * (MAX_CONDITIONS + 1)], "at most 30"),
    ],
)
def test_invalid_rule_is_refused(stored: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        parse_rule(stored)
