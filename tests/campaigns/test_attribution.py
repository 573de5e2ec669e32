from __future__ import annotations

from datetime import datetime, timedelta

import sqlalchemy as sa
from flask import Flask

from chatbot.campaigns.attribution import attribute_answer
from chatbot.campaigns.models import Campaign, Recipient
from chatbot.campaigns.queries import count_answered
from chatbot.contacts.models import Contact
from chatbot.conversations.models import Conversation, Message
from chatbot.core import clock
from chatbot.core.db import db
from tests.support.factories import (
    ago,
    commit_and_detach,
    make_campaign,
    make_contact,
    make_conversation,
    make_inbound,
    make_template,
)


def make_sent_recipient(contact: Contact, at: datetime, wamid: str) -> Recipient:
    campaign = make_campaign(template=make_template("Olá {{1}}!"), parameters={"1": "field:name"})
    recipient = Recipient(
        campaign_id=campaign.id,
        contact_id=contact.id,
        state="delivered",
        attempt=1,
        wamid=wamid,
        accepted_at=at,
    )
    db.session.add(recipient)
    return commit_and_detach(recipient)


def answer(conversation: Conversation, **columns: object) -> Campaign | None:
    message = make_inbound(conversation, "quero sim", **columns)
    found = attribute_answer(db.session.get_one(Message, message.id), hours=24)
    db.session.commit()
    return found


def test_answer_is_attributed_to_the_last_campaign_and_added_to_the_thread_once(
    any_app: Flask,
) -> None:
    ana = make_contact("Ana")
    conversation = make_conversation(ana)
    make_sent_recipient(ana, ago(7200), "w1")
    last = make_sent_recipient(ana, ago(3600), "w2")
    for _ in range(2):
        found = answer(conversation)
        assert found is not None
        assert found.id == last.campaign_id
    assert count_answered(last.campaign_id) == 1
    thread = db.session.scalars(sa.select(Message).order_by(Message.occurred_at)).all()
    assert [message.author for message in thread] == ["campaign", "contact", "contact"]
    assert (thread[0].text, thread[0].wamid, thread[0].state) == ("Olá Ana!", "w2", "delivered")


def test_quoted_message_decides_even_if_it_is_old(any_app: Flask) -> None:
    ana = make_contact("Ana")
    old = make_sent_recipient(ana, ago(30 * 86400), "w1")
    make_sent_recipient(ana, ago(60), "w2")
    found = answer(make_conversation(ana), context_wamid="w1")
    assert found is not None
    assert found.id == old.campaign_id


def test_answer_without_a_recent_campaign_is_not_attributed(any_app: Flask) -> None:
    ana, bia = make_contact("Ana"), make_contact("Bia")
    make_sent_recipient(ana, ago(25 * 3600), "w1")
    make_sent_recipient(bia, ago(60), "w2")
    later = clock.now() + timedelta(hours=1)
    make_sent_recipient(ana, later, "w3")  # sent after the answer
    assert answer(make_conversation(ana)) is None
    assert db.session.scalar(sa.select(sa.func.count(Recipient.answered_at))) == 0


def test_merged_contact_answers_for_both(any_app: Flask) -> None:
    ana = make_contact("Ana")
    twin = make_contact("Ana de novo", merged_into_id=ana.id)
    make_sent_recipient(twin, ago(60), "w1")
    assert answer(make_conversation(ana)) is not None
