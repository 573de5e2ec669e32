from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa
from flask import Flask

from chatbot.campaigns import service
from chatbot.campaigns.models import Campaign, Recipient
from chatbot.campaigns.sending.source import CampaignSource
from chatbot.campaigns.tasks import list_due_channels, list_due_reconciliations, reconcile_campaigns
from chatbot.channels.gateway import Refused
from chatbot.contacts.models import Contact
from chatbot.core import clock
from chatbot.core.db import db
from chatbot.core.errors import InvalidInput
from chatbot.delivery.receipts import advance_watermark
from chatbot.delivery.results import ResultKind, SendResult, record_results
from chatbot.message_templates.models import MessageTemplate
from tests.support.campaigns import (
    get_campaign_counts,
    get_campaign_state,
    make_draft,
    run_and_commit,
    run_campaign_sender,
    start_campaign,
)
from tests.support.factories import ago, make_channel, make_contact
from tests.support.gateways import ScriptedGateway


def test_cancelling_skips_queued_recipients(any_app: Flask) -> None:
    for _ in range(5):
        make_contact()
    number = make_draft()
    start_campaign(number)
    with db.engine.begin() as connection:
        CampaignSource(db.engine, 0)
        connection.execute(
            sa.update(Recipient)
            .where(Recipient.id <= 2)
            .values(state="sending", attempt=1, claimed_until=clock.now() + timedelta(minutes=1))
        )
    run_and_commit(service.cancel_campaign, number, "ana")
    assert get_campaign_counts(number) == {"sending": 2, "skipped": 3}
    with db.engine.begin() as connection:
        results = [
            SendResult(row_id=1, attempt=1, kind=ResultKind.ACCEPTED, wamid="w"),
            SendResult(row_id=2, attempt=1, kind=ResultKind.UNSENT),
        ]
        record_results(connection, CampaignSource.send_table, results, 60)
    assert get_campaign_counts(number) == {"pending": 1, "accepted": 1, "skipped": 3}
    assert list_due_reconciliations() == [()]
    reconcile_campaigns()
    assert get_campaign_counts(number) == {"accepted": 1, "skipped": 4}
    assert get_campaign_state(number) == "cancelled"
    assert list_due_reconciliations() == []


def test_opt_out_during_a_campaign_is_respected(any_app: Flask) -> None:
    make_contact("Ana")
    make_contact("Bia")
    number = make_draft()
    start_campaign(number)
    db.session.execute(sa.update(Contact).where(Contact.name == "Bia").values(opted_out_at=ago(0)))
    db.session.commit()
    assert len(run_campaign_sender().sent) == 1
    reconcile_campaigns()
    assert get_campaign_counts(number) == {"accepted": 1, "skipped": 1}
    assert get_campaign_state(number) == "finished"


def test_paused_template_pauses_the_campaign_with_the_reason(any_app: Flask) -> None:
    make_contact()
    number = make_draft()
    start_campaign(number)
    db.session.execute(sa.update(MessageTemplate).values(status="PAUSED"))
    db.session.commit()
    assert run_campaign_sender().sent == []
    reconcile_campaigns()
    reason = db.session.scalars(sa.select(Campaign.paused_reason)).one()
    assert (get_campaign_state(number), "PAUSED at Meta" in (reason or "")) == ("paused", True)
    assert list_due_channels() == [], "or the job would enqueue itself for ever"
    with pytest.raises(InvalidInput):
        service.resume_campaign(number, "ana")
    db.session.rollback()
    db.session.execute(sa.update(MessageTemplate).values(status="APPROVED"))
    db.session.commit()
    run_and_commit(service.resume_campaign, number, "ana")
    assert len(run_campaign_sender().sent) == 1


def test_invalid_token_halts_the_channel_until_a_resume(any_app: Flask) -> None:
    make_contact()
    number = make_draft()
    start_campaign(number)
    run_campaign_sender(ScriptedGateway(lambda _b: Refused(190, "expired")))
    assert (get_campaign_state(number), get_campaign_counts(number)) == ("paused", {"pending": 1})
    assert make_channel().halted_reason == "(190) expired"
    run_and_commit(service.resume_campaign, number, "ana")
    assert make_channel().halted_reason is None
    assert len(run_campaign_sender().sent) == 1


@pytest.mark.parametrize(("on_doubt", "ends"), [("show", "unknown"), ("resend", "pending")])
def test_doubtful_messages_are_shown_or_resent_with_proof(
    any_app: Flask, on_doubt: str, ends: str
) -> None:
    for _ in range(2):
        make_contact()
    number = make_draft(on_doubt=on_doubt)
    start_campaign(number)
    db.session.execute(
        sa.update(Recipient)
        .where(Recipient.id == 1)
        .values(state="unknown", attempt=1, claimed_until=ago(100), doubt_until=ago(5))
    )
    db.session.execute(
        sa.update(Recipient)
        .where(Recipient.id == 2)
        .values(state="sent", attempt=1, accepted_at=ago(50), sent_at=ago(50))
    )
    db.session.commit()
    reconcile_campaigns()
    assert get_campaign_counts(number) == {"unknown": 1, "sent": 1}
    assert get_campaign_state(number) == ("running" if on_doubt == "resend" else "finished"), (
        "proof may come"
    )
    channel_id = make_channel().id
    with db.engine.begin() as connection:
        advance_watermark(connection, [channel_id], 0)
    reconcile_campaigns()
    assert get_campaign_counts(number) == {ends: 1, "sent": 1}
