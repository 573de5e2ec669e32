"""Marketing reaches contacts with an opt-in, or customers by a recorded choice."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from flask import Flask

from chatbot.campaigns.models import Campaign, ConsentBasis, Recipient
from chatbot.contacts.models import ConsentEvent, Contact
from chatbot.core import clock
from chatbot.core.db import db
from tests.support.campaigns import get_start_refusal, make_draft, start_campaign
from tests.support.factories import ago, make_contact, make_conversation, make_template


def make_marketing() -> str:
    return make_template("Promo", category="MARKETING").name


def make_opted_in(name: str, **columns: object) -> Contact:
    contact = make_contact(name, **columns)
    db.session.add(
        ConsentEvent(contact_id=contact.id, kind="opt_in", source="cli", happened_at=clock.now())
    )
    db.session.commit()
    return contact


def list_results(campaign_id: int) -> dict[str, str]:
    db.session.rollback()
    rows = db.session.execute(
        sa.select(Contact.name, Recipient.state, Recipient.skip_reason)
        .join(Recipient, Recipient.contact_id == Contact.id)
        .where(Recipient.campaign_id == campaign_id)
    )
    return {name: reason or state for name, state, reason in rows}


def make_people() -> None:
    make_opted_in("Ana")
    make_contact("Bia")
    make_conversation(make_contact("Caio"))
    make_opted_in("Davi", opted_out_at=ago(1))
    make_conversation(make_contact("Edu", opted_out_at=ago(1)))


@pytest.mark.parametrize(
    ("basis", "caio"), [(ConsentBasis.OPT_IN, "no_consent"), (ConsentBasis.CUSTOMERS, "queued")]
)
def test_marketing_reaches_opt_ins_and_customers_only_by_choice(
    any_app: Flask, basis: str, caio: str
) -> None:
    make_people()
    campaign_id = make_draft(
        template=make_marketing(), params=(), consent_basis=basis, consent_basis_by="Rita"
    )
    start_campaign(campaign_id)
    assert list_results(campaign_id) == {
        "Ana": "queued", "Bia": "no_consent", "Caio": caio, "Davi": "opted_out", "Edu": "opted_out",
    }  # fmt: skip
    by = db.session.get_one(Campaign, campaign_id).consent_basis_by
    assert by == ("Rita" if basis == ConsentBasis.CUSTOMERS else None)


def test_an_opt_in_outlives_a_merge(any_app: Flask) -> None:
    kept = make_contact("Ana")
    make_opted_in("Ana antiga", merged_into_id=kept.id)
    campaign_id = make_draft(template=make_marketing(), params=())
    start_campaign(campaign_id)
    assert list_results(campaign_id) == {"Ana": "queued"}


def test_a_utility_campaign_needs_no_opt_in(any_app: Flask) -> None:
    make_contact("Bia")
    campaign_id = make_draft("Aviso", ())
    start_campaign(campaign_id)
    assert list_results(campaign_id) == {"Bia": "queued"}


def test_marketing_to_nobody_with_consent_is_refused(any_app: Flask) -> None:
    make_contact("Bia")
    refusal = get_start_refusal(make_draft(template=make_marketing(), params=()))
    assert (refusal.field, refusal.values["count"]) == ("audience", 1)


def test_create_says_how_many_have_no_consent(app: Flask) -> None:
    make_people()
    args = ["campaigns", "create", "--name", "N", "--template", make_marketing(), "--all"]
    for more, count in ((), 2), (("--customers-by", "Rita"), 1):
        result = app.test_cli_runner().invoke(args=[*args, *more])
        assert (result.exit_code, f"{count} without recorded consent" in result.output) == (0, True)
