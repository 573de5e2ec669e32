"""Whoever gets a campaign can end it by answering, and is asked for nothing else."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from flask import Flask

from chatbot.bot.jobs import take_turns
from chatbot.campaigns.jobs import settle
from chatbot.campaigns.models import Recipient
from chatbot.contacts.models import ConsentEvent, Contact
from chatbot.core.db import db
from tests.support.campaigns import counts, draft, send, start
from tests.support.making import make_contact, make_conversation, make_inbound


def answer(contact: Contact, text: str, **columns: object) -> None:
    make_inbound(make_conversation(contact), text, **columns)
    take_turns()


def told() -> list[tuple[str, str, str]]:
    db.session.rollback()
    rows = db.session.execute(
        sa.select(ConsentEvent.kind, ConsentEvent.source, ConsentEvent.evidence)
    )
    return [tuple(row) for row in rows]


@pytest.mark.parametrize(
    ("text", "kind", "source"),
    [("SAIR", "text", "bot"), ("Parar promoções", "button", "button")],
)
def test_who_answers_a_campaign_with_a_stop_gets_no_other(
    any_app: Flask, text: str, kind: str, source: str
) -> None:
    ana = make_contact("Ana")
    first = draft()
    start(first)
    assert len(send().sent) == 1
    answer(ana, text, kind=kind)
    assert told() == [("opt_out", source, text)]
    make_contact("Bia")
    second = draft()
    start(second)
    assert len(send().sent) == 1
    reasons = sa.select(Recipient.skip_reason).where(Recipient.contact_id == ana.id)
    assert set(db.session.scalars(reasons)) == {None, "opted_out"}


def test_a_running_campaign_leaves_out_who_stops_before_their_row_is_claimed(
    any_app: Flask,
) -> None:
    make_contact("Ana")
    bia = make_contact("Bia")
    number = draft()
    start(number)
    answer(bia, "sair")
    assert len(send().sent) == 1
    settle()
    assert counts(number) == {"accepted": 1, "skipped": 1}


def test_who_changes_their_mind_agrees_with_plain_words(any_app: Flask) -> None:
    ana = make_contact("Ana")
    conversation = make_conversation(ana)
    for text in ("SAIR", "Quero receber"):
        make_inbound(conversation, text)
        take_turns()
    assert told() == [("opt_out", "bot", "SAIR"), ("opt_in", "bot", "Quero receber")]
    start(draft())
    assert len(send().sent) == 1
