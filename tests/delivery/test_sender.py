from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from chatbot.campaigns.models import Campaign, Recipient
from chatbot.channels.gateway import Accepted, Doubtful, GatewayAnswer, Refused, Unreachable
from chatbot.channels.models import Channel
from chatbot.contacts.models import Contact
from chatbot.conversations.models import Message
from chatbot.core.db import db
from chatbot.delivery.sender import CALL_MARGIN_S, CALL_TIMEOUT_S, LEASE_CALLS
from chatbot.delivery.throttle import Reservation
from tests.support.call_counts import count_sql
from tests.support.factories import make_channel
from tests.support.gateways import ScriptedGateway, accept
from tests.support.sending import (
    UnreliableSource,
    fail_first,
    list_states,
    make_campaign_source,
    make_reply_source,
    make_sender,
    run_sender,
)


def test_every_recipient_gets_one_message_and_the_results_are_stored(any_app: Flask) -> None:
    source, ids = make_campaign_source(150)
    gateway = ScriptedGateway()
    assert run_sender(make_sender(source, gateway)) == 150
    assert sorted(gateway.callbacks) == sorted(f"r:{row_id}:1" for row_id in ids)
    assert set(list_states()) == {"accepted"}
    assert run_sender(make_sender(source, gateway)) == 0


def test_a_batch_of_128_costs_a_handful_of_statements(any_app: Flask) -> None:
    source, _ = make_campaign_source(128)
    with count_sql(db.engine) as sql:
        run_sender(make_sender(source, ScriptedGateway()))
    # choose, claim, load; write (a few times, with the check for double acceptances); claim again
    assert sql.number <= 16, sql.statements


def test_the_wa_id_of_the_provider_is_stored(any_app: Flask) -> None:
    source, _ = make_campaign_source(3)
    run_sender(
        make_sender(source, ScriptedGateway(lambda b: Accepted(f"w{b['to']}", f"9{b['to']}")))
    )
    rows = db.session.execute(sa.select(Contact.wa_id, Contact.phone)).all()
    assert all(wa_id == f"9{phone[1:]}" for wa_id, phone in rows)


def test_messages_to_one_person_are_sent_in_order(any_app: Flask) -> None:
    source, ids = make_reply_source(["um", "dois", "três", "quatro"])
    gateway = ScriptedGateway(latency_s=0.02)
    run_sender(make_sender(source, gateway))
    assert [body["text"]["body"] for body in gateway.sent] == ["um", "dois", "três", "quatro"]
    assert gateway.callbacks == [f"m:{row_id}:1" for row_id in ids]
    assert all(b - a >= 0.02 for a, b in zip(gateway.times, gateway.times[1:], strict=False))


def test_messages_after_a_retried_one_wait_for_it(any_app: Flask) -> None:
    source, _ = make_reply_source(["um", "dois", "três"])
    gateway = ScriptedGateway(
        lambda b: Refused(131000, "later") if b["text"]["body"] == "dois" else accept(b)
    )
    run_sender(make_sender(source, gateway))
    assert [body["text"]["body"] for body in gateway.sent] == ["um", "dois"]
    assert list_states(Message) == ["accepted", "queued", "queued"]
    attempts = db.session.scalars(sa.select(Message.attempt).order_by(Message.id)).all()
    assert attempts == [1, 1, 0]


def test_a_permanent_failure_does_not_stop_later_messages(any_app: Flask) -> None:
    source, _ = make_reply_source(["um", "dois"])
    gateway = ScriptedGateway(
        lambda b: Refused(131051, "no") if b["text"]["body"] == "um" else accept(b)
    )
    run_sender(make_sender(source, gateway))
    assert list_states(Message) == ["failed", "accepted"]


def test_only_the_row_that_cannot_be_rendered_fails(any_app: Flask) -> None:
    source, ids = make_campaign_source(3)
    first = db.session.get_one(Recipient, ids[0]).contact_id
    db.session.execute(sa.update(Contact).where(Contact.id == first).values(wa_id="", phone="+"))
    db.session.commit()
    run_sender(make_sender(source, ScriptedGateway()))
    assert list_states() == ["failed", "accepted", "accepted"]


def test_a_batch_past_its_deadline_is_queued_again(any_app: Flask) -> None:
    source, _ = make_campaign_source(5)
    gateway = ScriptedGateway()
    sender = make_sender(source, gateway, lease_s=CALL_TIMEOUT_S + CALL_MARGIN_S - 1)
    run_sender(sender, 0.2)
    assert gateway.sent == []
    assert set(list_states()) == {"queued"}
    assert set(db.session.scalars(sa.select(Recipient.attempt))) == {0}


def test_too_fast_pauses_sending_for_a_moment(any_app: Flask) -> None:
    source, _ = make_campaign_source(30)
    refusals = iter([Refused(130429, "slow", 429, retry_after_s=1.5)])
    gateway = ScriptedGateway(lambda b: next(refusals, None) or accept(b))
    run_sender(make_sender(source, gateway, rate=200, batch_size=10), 6)
    gaps = [b - a for a, b in zip(gateway.times, gateway.times[1:], strict=False)]
    assert max(gaps) > 1.2
    assert list_states().count("accepted") == 29 + (len(gateway.sent) > 30)


def test_a_run_ends_in_time_during_a_long_pause(app: Flask) -> None:
    source, _ = make_campaign_source(30)
    slow = Refused(130429, "slow", 429, retry_after_s=3600)
    began = time.monotonic()
    run_sender(make_sender(source, ScriptedGateway(lambda _b: slow), batch_size=10,
                    lease_s=CALL_TIMEOUT_S + CALL_MARGIN_S + 1), 1.5)  # fmt: skip
    assert time.monotonic() - began < 60
    assert set(list_states()) == {"queued"}


@pytest.mark.parametrize(("code", "halts_channel"), [(190, True), (132015, False), (131042, False)])
def test_an_error_that_makes_all_sending_pointless_stops_it(
    any_app: Flask, code: int, halts_channel: bool
) -> None:
    source, _ = make_campaign_source(60)
    gateway = ScriptedGateway(lambda _b: Refused(code, "no more"), latency_s=0.05)
    run_sender(make_sender(source, gateway, rate=200, batch_size=20))
    assert len(gateway.sent) < 40
    assert set(list_states()) == {"queued"}
    campaign = db.session.scalars(sa.select(Campaign)).one()
    assert campaign.state == "paused"
    assert campaign.paused_reason == f"({code}) no more"
    halted = db.session.scalars(sa.select(Channel.halted_reason)).one()
    assert bool(halted) == halts_channel


def test_halting_without_the_database_keeps_the_results(any_app: Flask) -> None:
    source, _ = make_campaign_source(10)
    answers = iter([accept({}), accept({}), Refused(190, "dead")])
    gateway = ScriptedGateway(lambda b: next(answers, None) or accept(b))
    run_sender(make_sender(UnreliableSource(source, before_halt=fail_first(1)), gateway, rate=500))
    assert list_states()[:3] == ["accepted", "accepted", "queued"]
    assert "sending" not in list_states()


def test_the_sender_stops_soon_when_the_provider_is_unreachable(any_app: Flask) -> None:
    source, _ = make_campaign_source(200)
    gateway = ScriptedGateway(lambda _b: Unreachable("refused"))
    run_sender(make_sender(source, gateway, rate=200))
    assert len(gateway.sent) < 20
    assert set(list_states()) == {"queued"}


def test_a_doubtful_answer_leaves_the_row_in_doubt(any_app: Flask) -> None:
    source, _ = make_campaign_source(2)
    run_sender(make_sender(source, ScriptedGateway(lambda _b: Doubtful("time-out"))))
    assert list_states() == ["unknown", "unknown"]


def test_sigterm_stops_claiming_finishes_calls_in_flight_and_calls_the_previous_handler(
    any_app: Flask,
) -> None:
    source, _ = make_campaign_source(200)
    received: list[int] = []

    def accept_and_signal(body: Mapping[str, Any]) -> GatewayAnswer:
        """Send SIGTERM with the first answer, while other calls are in flight."""
        if not signalled:
            signalled.append(True)
            os.kill(os.getpid(), signal.SIGTERM)
        return accept(body)

    signalled: list[bool] = []
    before = signal.signal(signal.SIGTERM, lambda number, _frame: received.append(number))
    try:
        gateway = ScriptedGateway(accept_and_signal, latency_s=0.2)
        run_sender(make_sender(source, gateway, rate=100, batch_size=20))
        assert received == [signal.SIGTERM]
        os.kill(os.getpid(), signal.SIGTERM)
        assert len(received) == 2, "the previous handler was not restored"
    finally:
        signal.signal(signal.SIGTERM, before)
    found = list_states()
    assert found.count("accepted") == len(gateway.sent)
    assert set(found) == {"accepted", "queued"}


def test_overlapping_batches_share_the_rate(app: Flask) -> None:
    source, _ = make_campaign_source(200)
    gateway = ScriptedGateway(latency_s=0.05)
    run_sender(make_sender(source, gateway, rate=100, batch_size=32), 10)
    times = gateway.times
    assert len(times) == 200
    most = max(sum(t <= other < t + 1 for other in times) for t in times)
    assert most <= 112  # the rate, and what may be made up for in a tenth of a second


def test_a_batch_reserved_for_later_does_not_delay_the_one_before(app: Flask) -> None:
    """Sends that leave their reserved time would double the rate of another worker in between."""
    source, _ = make_campaign_source(64)
    gateway = ScriptedGateway()
    sender = make_sender(source, gateway, batch_size=32)
    reservations = iter([Reservation(32, 0.0, 0.01), Reservation(32, 1.5, 0.01)])
    sender._throttle.reserve = lambda *_, **__: next(reservations, Reservation(0, 0.0, 0.0))  # type: ignore[method-assign]
    run_sender(sender, 3)
    times = [moment - gateway.times[0] for moment in gateway.times]
    assert len(times) == 64
    assert times[31] < 1.0 < times[32]


def test_the_lease_is_longer_than_a_call_may_take() -> None:
    assert LEASE_CALLS * CALL_TIMEOUT_S > CALL_TIMEOUT_S + CALL_MARGIN_S + 5


def test_replies_of_a_halted_channel_stay_queued(any_app: Flask) -> None:
    source, _ = make_reply_source(["oi"])
    db.session.execute(sa.update(Channel).values(halted_reason="(190) dead"))
    db.session.commit()
    gateway = ScriptedGateway()
    assert run_sender(make_sender(source, gateway)) == 0
    assert list_states(Message) == ["queued"]
    assert make_channel().halted_reason == "(190) dead"
