from __future__ import annotations

import pytest
import sqlalchemy as sa
from flask import Flask

from chatbot.campaigns.again import resend_unknown, retry_failed
from chatbot.campaigns.models import Campaign, CampaignState, Recipient
from chatbot.campaigns.queries import MOST_CAUSES, count_causes, standing_of
from chatbot.campaigns.service import pause_campaign, resume_campaign
from chatbot.core.db import db
from chatbot.core.errors import Conflict
from tests.support.campaigns import do, draft, send, start, state
from tests.support.gateways import ScriptedGateway
from tests.support.making import ago, make_contact


def finished_with(**columns: object) -> int:
    """A finished campaign to two people, one of whom got it; the other's row is as said."""
    make_contact("Ana")
    make_contact("Bia")
    number = draft()
    start(number)
    send(ScriptedGateway())
    changes = {"wamid": None, "accepted_at": None} | columns
    db.session.execute(sa.update(Recipient).where(Recipient.id == 2).values(**changes))
    db.session.execute(sa.update(Campaign).values(state=CampaignState.FINISHED))
    db.session.commit()
    return number


def test_passing_failures_are_sent_once_more_and_the_campaign_runs_again(any_app: Flask) -> None:
    number = finished_with(state="failed", error_code=131016)
    do(retry_failed, number, "marta")
    assert state(number) == CampaignState.RUNNING
    gateway = ScriptedGateway()
    send(gateway)
    assert gateway.callbacks == ["r:2:2"]
    with pytest.raises(Conflict, match="nothing here"):
        retry_failed(number, "rui")
    db.session.rollback()


def test_the_page_counts_for_a_retry_exactly_what_it_would_send(any_app: Flask) -> None:
    for name in ("Caio", "Davi"):
        make_contact(name)
    number = finished_with(state="failed", error_code=131016)
    taken = {"state": "failed", "error_code": 131016, "accepted_at": ago(60)}
    db.session.execute(sa.update(Recipient).where(Recipient.id == 1).values(**taken))
    db.session.commit()
    assert [tuple(cause) for cause in count_causes(number)] == [("failed", "131016", 2, 1)]
    assert retry_failed(number, "marta") == 1
    db.session.rollback()


def test_a_retry_is_counted_over_all_causes_not_the_shown_ones(app: Flask) -> None:
    for n in range(MOST_CAUSES + 4):
        make_contact(f"Pessoa {n}")
    number = finished_with(state="failed", error_code=131016)
    others = sa.update(Recipient).where(Recipient.id != 2)
    codes = {"state": "failed", "accepted_at": None, "error_code": Recipient.id + 900_000}
    db.session.execute(others.values(**codes))
    db.session.execute(sa.update(Recipient).where(Recipient.id == 3).values(error_code=900_001))
    db.session.commit()
    standing = standing_of(number)
    assert (len(standing.causes), standing.retryable) == (MOST_CAUSES, 1)


def test_who_came_after_the_start_holds_nothing_up(app: Flask) -> None:
    """The audience is frozen: a stranger without a name, or a tag that is gone, is nobody in it."""
    make_contact("Ana")
    number = draft()
    start(number)
    do(pause_campaign, number)
    make_contact("")
    do(resume_campaign, number, "marta")
    assert state(number) == CampaignState.RUNNING
    gateway = ScriptedGateway()
    send(gateway)
    assert len(gateway.callbacks) == 1


@pytest.mark.parametrize(
    "columns",
    [
        {"state": "failed", "error_code": 131026},  # a number without WhatsApp stays without
        {"state": "failed", "error_code": 131016, "accepted_at": ago(60), "wamid": "w"},
        {"state": "skipped", "skip_reason": "opted_out"},
    ],
)
def test_what_did_not_fail_in_passing_is_left_alone(app: Flask, columns: dict[str, object]) -> None:
    number = finished_with(**columns)
    with pytest.raises(Conflict, match="nothing here"):
        retry_failed(number, "marta")
    db.session.rollback()
    assert state(number) == CampaignState.FINISHED


def test_who_is_in_doubt_is_sent_to_again_only_at_a_persons_word(any_app: Flask) -> None:
    number = finished_with(state="unknown", doubt_until=ago(1))
    do(resend_unknown, number, "marta")
    gateway = ScriptedGateway()
    send(gateway)
    assert gateway.callbacks == ["r:2:2"]


def test_a_cancelled_one_sends_nothing_again(app: Flask) -> None:
    number = finished_with(state="unknown")
    db.session.execute(sa.update(Campaign).values(state=CampaignState.CANCELLED))
    db.session.commit()
    with pytest.raises(Conflict, match="cancelled"):
        resend_unknown(number, "marta")
