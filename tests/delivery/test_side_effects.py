"""Side effects of an error happen once, whether an answer or a status reports it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
import sqlalchemy as sa
from flask import Flask

from chatbot.campaigns.models import Campaign, CampaignState, Recipient
from chatbot.campaigns.sending.send_table import SEND_TABLE as RECIPIENTS
from chatbot.campaigns.sending.source import CampaignSource
from chatbot.campaigns.service import start_campaign
from chatbot.campaigns.suppression import skip_suppressed
from chatbot.channels.gateway import Refused
from chatbot.channels.models import Channel, ChannelEvent
from chatbot.contacts.models import ConsentEvent, Contact
from chatbot.contacts.service import SenderIdentity, opt_in, resolve_contact
from chatbot.conversations.models import Conversation
from chatbot.conversations.replies import REPLY_SEND_TABLE as REPLIES
from chatbot.conversations.replies import ReplySource
from chatbot.conversations.service import is_window_open
from chatbot.core import clock
from chatbot.core.db import db
from chatbot.delivery.models import MessageState
from chatbot.delivery.outbound import CallbackId
from chatbot.delivery.receipts import Receipt, apply_receipts
from tests.support.call_counts import count_sql
from tests.support.factories import make_campaign, make_contact, make_recipients, make_template
from tests.support.gateways import ScriptedGateway
from tests.support.sending import make_reply_source, make_sender, run_sender
from tests.support.webhooks import list_all

NOW = clock.now().replace(microsecond=0)


def apply_failures(prefix: str, row_ids: list[int], code: int, at: timedelta = timedelta()) -> None:
    """Apply a failed status to each of these messages."""
    receipts = [
        Receipt(
            wamid=f"{prefix}{row_id}",
            state=MessageState.FAILED,
            happened_at=NOW + at,
            callback=CallbackId(prefix, row_id, 1),
            error_code=code,
            error_detail="because",
        )
        for row_id in row_ids
    ]
    with db.engine.begin() as connection:
        assert apply_receipts(connection, (REPLIES, RECIPIENTS), receipts) == []


def make_accepted(count: int = 1, campaign: Campaign | None = None) -> list[int]:
    return make_recipients(campaign or make_campaign(), count, state="accepted", attempt=1)


def fail_by_answer(code: int) -> None:
    """Fail with the error as the answer of a send."""
    make_recipients(make_campaign(), 1)
    source = CampaignSource(db.engine, list_all(Channel)[0].id)
    run_sender(make_sender(source, ScriptedGateway(lambda _: Refused(code, "because"))), 2)


def fail_by_status(code: int) -> None:
    apply_failures("r", make_accepted(), code)


BOTH_WAYS = pytest.mark.parametrize("fail", [fail_by_answer, fail_by_status])


@BOTH_WAYS
def test_a_contact_who_stopped_marketing_at_meta_is_opted_out(
    any_app: Flask, fail: Callable[[int], None]
) -> None:
    fail(131050)
    assert list_all(Contact)[0].opted_out_at is not None
    (event,) = list_all(ConsentEvent)
    assert (event.kind, event.source, event.evidence) == ("opt_out", "meta", "131050")


def test_an_old_status_does_not_undo_a_later_opt_in(any_app: Flask) -> None:
    ids = make_accepted()
    contact = db.session.get_one(Contact, list_all(Contact)[0].id)
    contact.opted_out_at = NOW
    opt_in(contact, "agent", at=NOW + timedelta(minutes=5))
    db.session.commit()
    apply_failures("r", ids, 131050)
    assert list_all(Contact)[0].opted_out_at is None


@BOTH_WAYS
def test_marketing_pauses_a_day_after_meta_chose_not_to_deliver(
    any_app: Flask, fail: Callable[[int], None]
) -> None:
    fail(131049)
    until = list_all(Contact)[0].marketing_paused_until
    assert timedelta(hours=23) < until - clock.now() <= timedelta(hours=24, minutes=1)
    for category, must_wait in (("MARKETING", True), ("UTILITY", False)):
        template = make_template("Olá!", category=category)
        campaign = make_campaign(CampaignState.DRAFT, template=template)
        opt_in(db.session.get_one(Contact, list_all(Contact)[0].id), "agent")
        start_campaign(campaign.id, "Ana")
        db.session.commit()
        row = list_all(Recipient)[-1]
        assert (row.due_at == until) == must_wait


def test_marketing_that_is_queued_already_is_postponed_too(any_app: Flask) -> None:
    campaign = make_campaign()
    first = make_accepted(1, campaign)
    other = make_campaign(template=make_template("Olá!", category="MARKETING"))
    db.session.add(
        Recipient(campaign_id=other.id, contact_id=list_all(Contact)[0].id, state="queued")
    )
    db.session.commit()
    apply_failures("r", first, 131049)
    assert list_all(Recipient)[1].due_at == list_all(Contact)[0].marketing_paused_until


def test_a_contact_is_unreachable_after_two_failures_until_a_delivery(any_app: Flask) -> None:
    first, second = make_campaign(), make_campaign()
    ids = make_accepted(1, first)
    contact_id = list_all(Contact)[0].id
    db.session.add(
        Recipient(campaign_id=second.id, contact_id=contact_id, state="accepted", attempt=1)
    )
    db.session.add(Recipient(campaign_id=make_campaign().id, contact_id=contact_id, state="queued"))
    db.session.commit()
    again = [row.id for row in list_all(Recipient) if row.campaign_id == second.id]
    for _ in range(3):  # a status that is repeated counts once
        apply_failures("r", ids, 131026)
    assert list_all(Contact)[0].unreachable_at is None
    apply_failures("r", again, 131026)
    assert list_all(Contact)[0].unreachable_at is not None
    with db.engine.begin() as connection:
        skip_suppressed(connection)
    assert (list_all(Recipient)[-1].state, list_all(Recipient)[-1].skip_reason) == (
        "skipped",
        "unreachable",
    )
    reached = Receipt(
        wamid=list_all(Recipient)[0].wamid,
        state=MessageState.DELIVERED,
        happened_at=NOW,
        callback=CallbackId("r", ids[0], 1),
    )
    with db.engine.begin() as connection:
        apply_receipts(connection, (RECIPIENTS,), [reached])
    assert list_all(Contact)[0].unreachable_at is None


def test_a_contact_who_writes_is_reachable(app: Flask) -> None:
    make_contact(digits="5511987654321", unreachable_at=NOW)
    resolve_contact(SenderIdentity(wa_id="5511987654321"))
    db.session.commit()
    assert list_all(Contact)[0].unreachable_at is None


def test_a_service_window_that_meta_calls_closed_is_closed_until_the_next_message(
    any_app: Flask,
) -> None:
    (row_id,) = make_reply_source(["oi"])[1]
    db.session.execute(sa.text("UPDATE messages SET state = 'accepted', attempt = 1"))
    db.session.execute(sa.update(Conversation).values(last_inbound_at=NOW - timedelta(hours=1)))
    db.session.commit()
    assert is_window_open(list_all(Conversation)[0])
    apply_failures("m", [row_id], 131047)
    assert not is_window_open(list_all(Conversation)[0])
    db.session.execute(sa.text("UPDATE messages SET state = 'queued', attempt = 0"))
    db.session.commit()
    source = ReplySource(db.engine, list_all(Channel)[0].id)
    assert run_sender(make_sender(source, ScriptedGateway()), 1) == 0, "nothing free-form goes out"
    db.session.execute(sa.update(Conversation).values(last_inbound_at=NOW + timedelta(seconds=1)))
    db.session.commit()
    assert is_window_open(list_all(Conversation)[0])


@BOTH_WAYS
@pytest.mark.parametrize(
    ("code", "is_halted", "fields"),
    [(190, True, ["halt"]), (131042, False, ["campaign"]), (132015, False, [])],
)
def test_a_halting_error_pauses_the_campaign_or_the_number_with_the_reason(
    app: Flask, fail: Callable[[int], None], code: int, is_halted: bool, fields: list[str]
) -> None:
    fail(code)
    (campaign,) = list_all(Campaign)
    assert (campaign.state, campaign.paused_reason) == ("paused", f"({code}) because")
    assert (list_all(Channel)[0].halted_reason is not None) == is_halted
    assert [event.field for event in list_all(ChannelEvent)] == fields


def test_a_repeated_status_does_not_pause_a_campaign_that_was_resumed(app: Flask) -> None:
    ids = make_accepted()
    apply_failures("r", ids, 131042)
    db.session.execute(sa.update(Campaign).values(state="running", paused_reason=None))
    db.session.commit()
    apply_failures("r", ids, 131042)
    assert list_all(Campaign)[0].state == "running"


def test_a_dead_token_in_a_replys_status_halts_the_number(app: Flask) -> None:
    (row_id,) = make_reply_source(["oi"])[1]
    db.session.execute(sa.text("UPDATE messages SET state = 'accepted', attempt = 1"))
    db.session.commit()
    apply_failures("m", [row_id], 190)
    assert list_all(Channel)[0].halted_reason == "(190) because"


def test_a_thousand_failures_are_a_few_statements(any_app: Flask) -> None:
    ids = make_accepted(1000)
    with count_sql(db.engine) as sql:
        apply_failures("r", ids, 131050)
    assert sql.number <= 8, sql.statements
    assert all(contact.opted_out_at for contact in list_all(Contact))
