"""Opting out of campaigns by answering one, and opting in again."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from flask import Flask

from chatbot.bot.tasks import run_turns
from chatbot.campaigns.models import Recipient
from chatbot.campaigns.tasks import reconcile_campaigns
from chatbot.contacts.models import ConsentEvent, Contact
from chatbot.core.db import db
from tests.support.campaigns import (
    get_campaign_counts,
    make_draft,
    run_campaign_sender,
    start_campaign,
)
from tests.support.factories import make_contact, make_conversation, make_inbound


def answer(contact: Contact, text: str, **columns: object) -> None:
    make_inbound(make_conversation(contact), text, **columns)
    run_turns()


def list_consent_events() -> list[tuple[str, str, str]]:
    db.session.rollback()
    rows = db.session.execute(
        sa.select(ConsentEvent.kind, ConsentEvent.source, ConsentEvent.evidence)
    )
    return [tuple(row) for row in rows]


@pytest.mark.parametrize(
    ("text", "kind", "source"),
    [("SAIR", "text", "bot"), ("Parar promoções", "button", "button")],
)
def test_answering_stop_ends_all_campaigns(
    any_app: Flask, text: str, kind: str, source: str
) -> None:
    ana = make_contact("Ana")
    first = make_draft()
    start_campaign(first)
    assert len(run_campaign_sender().sent) == 1
    answer(ana, text, kind=kind)
    assert list_consent_events() == [("opt_out", source, text)]
    make_contact("Bia")
    second = make_draft()
    start_campaign(second)
    assert len(run_campaign_sender().sent) == 1
    reasons = sa.select(Recipient.skip_reason).where(Recipient.contact_id == ana.id)
    assert set(db.session.scalars(reasons)) == {None, "opted_out"}


def test_opt_out_before_the_claim_is_respected(
    any_app: Flask,
) -> None:
    make_contact("Ana")
    bia = make_contact("Bia")
    number = make_draft()
    start_campaign(number)
    answer(bia, "sair")
    assert len(run_campaign_sender().sent) == 1
    reconcile_campaigns()
    assert get_campaign_counts(number) == {"accepted": 1, "skipped": 1}


def test_contact_can_opt_in_again_by_text(any_app: Flask) -> None:
    ana = make_contact("Ana")
    conversation = make_conversation(ana)
    for text in ("SAIR", "Quero receber"):
        make_inbound(conversation, text)
        run_turns()
    assert list_consent_events() == [("opt_out", "bot", "SAIR"), ("opt_in", "bot", "Quero receber")]
    start_campaign(make_draft())
    assert len(run_campaign_sender().sent) == 1
