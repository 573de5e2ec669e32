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
from chatbot.channels.gateway import Accepted, Answer, Doubtful, Refused, Unreached
from chatbot.channels.models import Channel
from chatbot.contacts.models import Contact
from chatbot.conversations.models import Message
from chatbot.core.db import db
from chatbot.delivery.local_pace import Booking
from chatbot.delivery.sender import CALL_S, LEASE_CALLS, MARGIN_S
from tests.support.gateways import ScriptedGateway, accept
from tests.support.making import (
    make_channel,
)
from tests.support.sending import (
    Unreliable,
    campaign_of,
    failing,
    make_sender,
    replies,
    run,
    states,
)
from tests.support.wire import counted_sql


def test_everybody_is_written_to_once_and_the_results_are_in_the_table(any_app: Flask) -> None:
    source, ids = campaign_of(150)
    gateway = ScriptedGateway()
    assert run(make_sender(source, gateway)) == 150
    assert sorted(gateway.callbacks) == sorted(f"r:{row_id}:1" for row_id in ids)
    assert set(states()) == {"accepted"}
    assert run(make_sender(source, gateway)) == 0


def test_a_slice_of_128_costs_a_handful_of_statements(any_app: Flask) -> None:
    source, _ = campaign_of(128)
    with counted_sql(db.engine) as sql:
        run(make_sender(source, ScriptedGateway()))
    # choose, claim, load; write (a few times, with the question of double acceptance); look for more
    assert sql.number <= 16, sql.statements


def test_what_the_provider_calls_somebody_is_learnt(any_app: Flask) -> None:
    source, _ = campaign_of(3)
    run(make_sender(source, ScriptedGateway(lambda b: Accepted(f"w{b['to']}", f"9{b['to']}"))))
    rows = db.session.execute(sa.select(Contact.wa_id, Contact.phone)).all()
    assert all(wa_id == f"9{phone[1:]}" for wa_id, phone in rows)


def test_one_persons_messages_leave_in_their_order(any_app: Flask) -> None:
    source, ids = replies(["um", "dois", "três", "quatro"])
    gateway = ScriptedGateway(takes_s=0.02)
    run(make_sender(source, gateway))
    assert [body["text"]["body"] for body in gateway.sent] == ["um", "dois", "três", "quatro"]
    assert gateway.callbacks == [f"m:{row_id}:1" for row_id in ids]
    assert all(b - a >= 0.02 for a, b in zip(gateway.times, gateway.times[1:], strict=False))


def test_what_comes_after_a_refusal_for_now_waits_for_it(any_app: Flask) -> None:
    source, _ = replies(["um", "dois", "três"])
    gateway = ScriptedGateway(
        lambda b: Refused(131000, "later") if b["text"]["body"] == "dois" else accept(b)
    )
    run(make_sender(source, gateway))
    assert [body["text"]["body"] for body in gateway.sent] == ["um", "dois"]
    assert states(Message) == ["accepted", "queued", "queued"]
    attempts = db.session.scalars(sa.select(Message.attempt).order_by(Message.id)).all()
    assert attempts == [1, 1, 0]


def test_a_failure_for_good_does_not_stop_what_comes_after(any_app: Flask) -> None:
    source, _ = replies(["um", "dois"])
    gateway = ScriptedGateway(
        lambda b: Refused(131051, "no") if b["text"]["body"] == "um" else accept(b)
    )
    run(make_sender(source, gateway))
    assert states(Message) == ["failed", "accepted"]


def test_a_row_that_cannot_be_rendered_fails_alone(any_app: Flask) -> None:
    source, ids = campaign_of(3)
    first = db.session.get_one(Recipient, ids[0]).contact_id
    db.session.execute(sa.update(Contact).where(Contact.id == first).values(wa_id="", phone="+"))
    db.session.commit()
    run(make_sender(source, ScriptedGateway()))
    assert states() == ["failed", "accepted", "accepted"]


def test_after_its_deadline_a_slice_is_given_back_unsent(any_app: Flask) -> None:
    source, _ = campaign_of(5)
    gateway = ScriptedGateway()
    sender = make_sender(source, gateway, lease_s=CALL_S + MARGIN_S - 1)
    run(sender, 0.2)
    assert gateway.sent == []
    assert set(states()) == {"queued"}
    assert set(db.session.scalars(sa.select(Recipient.attempt))) == {0}


def test_too_fast_holds_the_sending_and_then_goes_on(any_app: Flask) -> None:
    source, _ = campaign_of(30)
    refusals = iter([Refused(130429, "slow", 429, retry_after_s=1.5)])
    gateway = ScriptedGateway(lambda b: next(refusals, None) or accept(b))
    run(make_sender(source, gateway, rate=200, slice_size=10), 6)
    gaps = [b - a for a, b in zip(gateway.times, gateway.times[1:], strict=False)]
    assert max(gaps) > 1.2
    assert states().count("accepted") == 29 + (len(gateway.sent) > 30)


def test_a_long_hold_ends_the_run_in_its_time_not_after_the_hold(app: Flask) -> None:
    source, _ = campaign_of(30)
    slow = Refused(130429, "slow", 429, retry_after_s=3600)
    began = time.monotonic()
    run(make_sender(source, ScriptedGateway(lambda _b: slow), slice_size=10,
                    lease_s=CALL_S + MARGIN_S + 1), 1.5)  # fmt: skip
    assert time.monotonic() - began < 5
    assert set(states()) == {"queued"}


@pytest.mark.parametrize(("code", "halts_channel"), [(190, True), (132015, False), (131042, False)])
def test_an_error_that_makes_all_sending_pointless_stops_it(
    any_app: Flask, code: int, halts_channel: bool
) -> None:
    source, _ = campaign_of(60)
    gateway = ScriptedGateway(lambda _b: Refused(code, "no more"), takes_s=0.05)
    run(make_sender(source, gateway, rate=200, slice_size=20))
    assert len(gateway.sent) < 40
    assert set(states()) == {"queued"}
    campaign = db.session.scalars(sa.select(Campaign)).one()
    assert campaign.state == "paused"
    assert campaign.paused_reason == f"({code}) no more"
    halted = db.session.scalars(sa.select(Channel.halted_reason)).one()
    assert bool(halted) == halts_channel


def test_halting_without_the_database_keeps_the_results(any_app: Flask) -> None:
    source, _ = campaign_of(10)
    answers = iter([accept({}), accept({}), Refused(190, "dead")])
    gateway = ScriptedGateway(lambda b: next(answers, None) or accept(b))
    run(make_sender(Unreliable(source, before_halt=failing(1)), gateway, rate=500))
    assert states()[:3] == ["accepted", "accepted", "queued"]
    assert "sending" not in states()


def test_when_nobody_answers_the_sender_gives_up_soon(any_app: Flask) -> None:
    source, _ = campaign_of(200)
    gateway = ScriptedGateway(lambda _b: Unreached("refused"))
    run(make_sender(source, gateway, rate=200))
    assert len(gateway.sent) < 20
    assert set(states()) == {"queued"}


def test_doubt_is_written_as_doubt(any_app: Flask) -> None:
    source, _ = campaign_of(2)
    run(make_sender(source, ScriptedGateway(lambda _b: Doubtful("time-out"))))
    assert states() == ["unknown", "unknown"]


def test_sigterm_claims_no_more_finishes_what_is_on_the_wire_and_tells_whoever_listened(
    any_app: Flask,
) -> None:
    source, _ = campaign_of(200)
    heard: list[int] = []

    def accept_and_tell(body: Mapping[str, Any]) -> Answer:
        """With the first answer, while others are on the wire: never before anything was claimed."""
        if not told:
            told.append(True)
            os.kill(os.getpid(), signal.SIGTERM)
        return accept(body)

    told: list[bool] = []
    before = signal.signal(signal.SIGTERM, lambda number, _frame: heard.append(number))
    try:
        gateway = ScriptedGateway(accept_and_tell, takes_s=0.2)
        run(make_sender(source, gateway, rate=100, slice_size=20))
        assert heard == [signal.SIGTERM]
        os.kill(os.getpid(), signal.SIGTERM)
        assert len(heard) == 2, "the handler of before was not put back"
    finally:
        signal.signal(signal.SIGTERM, before)
    found = states()
    assert found.count("accepted") == len(gateway.sent)
    assert set(found) == {"accepted", "queued"}


def test_overlapping_slices_share_the_pace(app: Flask) -> None:
    source, _ = campaign_of(200)
    gateway = ScriptedGateway(takes_s=0.05)
    run(make_sender(source, gateway, rate=100, slice_size=32), 10)
    times = gateway.times
    assert len(times) == 200
    most = max(sum(t <= other < t + 1 for other in times) for t in times)
    assert most <= 112  # the rate, and what a tenth of a second may make good


def test_a_slice_that_is_booked_for_later_does_not_hold_up_the_one_before(app: Flask) -> None:
    """Between the two stands another worker's: what is pushed out of its own time doubles that one's."""
    source, _ = campaign_of(64)
    gateway = ScriptedGateway()
    sender = make_sender(source, gateway, slice_size=32)
    bookings = iter([Booking(32, 0.0, 0.01), Booking(32, 1.5, 0.01)])
    sender._pacer.book = lambda *_, **__: next(bookings, Booking(0, 0.0, 0.0))  # type: ignore[method-assign]
    run(sender, 3)
    times = [moment - gateway.times[0] for moment in gateway.times]
    assert len(times) == 64
    assert times[31] < 1.0 < times[32]


def test_the_lease_is_longer_than_a_call_may_take() -> None:
    assert LEASE_CALLS * CALL_S > CALL_S + MARGIN_S + 5


def test_one_channels_halt_keeps_its_replies(any_app: Flask) -> None:
    source, _ = replies(["oi"])
    db.session.execute(sa.update(Channel).values(halted_reason="(190) dead"))
    db.session.commit()
    gateway = ScriptedGateway()
    assert run(make_sender(source, gateway)) == 0
    assert states(Message) == ["queued"]
    assert make_channel().halted_reason == "(190) dead"
