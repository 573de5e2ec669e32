from __future__ import annotations

import pytest
import sqlalchemy as sa
from flask import Flask

from chatbot.campaigns.models import Campaign, CampaignState, Recipient
from chatbot.campaigns.queries import MAX_CAUSES, count_causes, get_summary
from chatbot.campaigns.sending.resend import resend_unknown, retry_failed
from chatbot.campaigns.service import pause_campaign, resume_campaign
from chatbot.core.db import db
from chatbot.core.errors import Conflict
from tests.support.campaigns import (
    get_campaign_state,
    make_draft,
    run_and_commit,
    run_campaign_sender,
    start_campaign,
)
from tests.support.factories import ago, make_contact
from tests.support.gateways import ScriptedGateway


def make_finished_campaign(**columns: object) -> int:
    """Make a finished campaign with two recipients: one got it, the other has these columns."""
    make_contact("Ana")
    make_contact("Bia")
    number = make_draft()
    start_campaign(number)
    run_campaign_sender(ScriptedGateway())
    changes = {"wamid": None, "accepted_at": None} | columns
    db.session.execute(sa.update(Recipient).where(Recipient.id == 2).values(**changes))
    db.session.execute(sa.update(Campaign).values(state=CampaignState.FINISHED))
    db.session.commit()
    return number


def test_temporary_failures_are_resent_once_and_the_campaign_runs_again(any_app: Flask) -> None:
    number = make_finished_campaign(state="failed", error_code=131016)
    run_and_commit(retry_failed, number, "marta")
    assert get_campaign_state(number) == CampaignState.RUNNING
    gateway = ScriptedGateway()
    run_campaign_sender(gateway)
    assert gateway.callbacks == ["r:2:2"]
    with pytest.raises(Conflict, match="nothing to send again"):
        retry_failed(number, "rui")
    db.session.rollback()


def test_page_counts_exactly_what_a_retry_would_send(any_app: Flask) -> None:
    for name in ("Caio", "Davi"):
        make_contact(name)
    number = make_finished_campaign(state="failed", error_code=131016)
    taken = {"state": "failed", "error_code": 131016, "accepted_at": ago(60)}
    db.session.execute(sa.update(Recipient).where(Recipient.id == 1).values(**taken))
    db.session.commit()
    assert [tuple(cause) for cause in count_causes(number)] == [("failed", "131016", 2, 1)]
    assert retry_failed(number, "marta") == 1
    db.session.rollback()


def test_retryable_counts_all_causes_not_only_the_listed_ones(app: Flask) -> None:
    for n in range(MAX_CAUSES + 4):
        make_contact(f"Pessoa {n}")
    number = make_finished_campaign(state="failed", error_code=131016)
    others = sa.update(Recipient).where(Recipient.id != 2)
    codes = {"state": "failed", "accepted_at": None, "error_code": Recipient.id + 900_000}
    db.session.execute(others.values(**codes))
    db.session.execute(sa.update(Recipient).where(Recipient.id == 3).values(error_code=900_001))
    db.session.commit()
    summary = get_summary(number)
    assert (len(summary.causes), summary.retryable) == (MAX_CAUSES, 1)


def test_contacts_added_after_the_start_are_ignored(app: Flask) -> None:
    """A new contact without a name must not block the resume: the audience is frozen."""
    make_contact("Ana")
    number = make_draft()
    start_campaign(number)
    run_and_commit(pause_campaign, number)
    make_contact("")
    run_and_commit(resume_campaign, number, "marta")
    assert get_campaign_state(number) == CampaignState.RUNNING
    gateway = ScriptedGateway()
    run_campaign_sender(gateway)
    assert len(gateway.callbacks) == 1


@pytest.mark.parametrize(
    "columns",
    [
        {"state": "failed", "error_code": 131026},  # a number without WhatsApp stays without
        {"state": "failed", "error_code": 131016, "accepted_at": ago(60), "wamid": "w"},
        {"state": "skipped", "skip_reason": "opted_out"},
    ],
)
def test_permanent_failures_are_not_resent(app: Flask, columns: dict[str, object]) -> None:
    number = make_finished_campaign(**columns)
    with pytest.raises(Conflict, match="nothing to send again"):
        retry_failed(number, "marta")
    db.session.rollback()
    assert get_campaign_state(number) == CampaignState.FINISHED


def test_unknown_recipients_are_resent_only_on_request(any_app: Flask) -> None:
    number = make_finished_campaign(state="unknown", doubt_until=ago(1))
    run_and_commit(resend_unknown, number, "marta")
    gateway = ScriptedGateway()
    run_campaign_sender(gateway)
    assert gateway.callbacks == ["r:2:2"]


def test_a_cancelled_campaign_cannot_be_resent(app: Flask) -> None:
    number = make_finished_campaign(state="unknown")
    db.session.execute(sa.update(Campaign).values(state=CampaignState.CANCELLED))
    db.session.commit()
    with pytest.raises(Conflict, match="cancelled"):
        resend_unknown(number, "marta")
