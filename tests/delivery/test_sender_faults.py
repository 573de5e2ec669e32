from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from chatbot.channels.gateway import Accepted, Answer
from chatbot.conversations.models import Message
from chatbot.delivery.sender import AHEAD, CALL_S, MARGIN_S
from tests.support.gateways import ScriptedGateway, accept
from tests.support.sending import (
    Unreliable,
    campaign_of,
    failing,
    make_sender,
    replies,
    run,
    states,
)


def test_a_claim_that_commits_and_then_raises_is_sent_once(any_app: Flask) -> None:
    source, _ = campaign_of(10)
    gateway = ScriptedGateway()
    run(make_sender(Unreliable(source, after_claim=failing(1)), gateway))
    assert len(set(gateway.callbacks)) == len(gateway.callbacks) == 10
    assert set(states()) == {"accepted"}


def test_a_slow_claim_does_not_move_what_was_booked_before_it(any_app: Flask) -> None:
    """What follows on the line is another worker's: a slice that begins when its claim is done, and not
    when it was booked, runs into theirs, and the next one is booked too late."""
    source, _ = campaign_of(10)
    moments: list[float] = []
    noting = Unreliable(source, after_claim=lambda: moments.append(time.monotonic()))
    sender = make_sender(noting, ScriptedGateway())
    flight = asyncio.run(sender._take_off())
    assert flight is not None
    assert flight.begins <= moments[0]
    booking = flight.booking
    assert sender._booked_until == flight.begins + booking.count * booking.interval_s


def test_claims_that_fail_while_reading_works_are_tried_again_slowly(any_app: Flask) -> None:
    """A full disk, a standby that is not promoted yet: nobody spins, and no time is booked in vain."""
    source, _ = campaign_of(10)
    tries: list[float] = []

    def read_only(*_: Any) -> int:
        tries.append(time.monotonic())
        raise sa.exc.OperationalError("UPDATE", {}, Exception("read-only transaction"))

    claim, source.claim = source.claim, read_only  # type: ignore[method-assign]
    gateway = ScriptedGateway()
    run(make_sender(source, gateway), 2)
    assert 1 < len(tries) <= 3 * (AHEAD + 1)
    source.claim = claim  # type: ignore[method-assign]
    run(make_sender(source, gateway))
    assert set(states()) == {"accepted"}


def test_a_claim_whose_rows_cannot_be_read_at_first_is_not_left_in_doubt(any_app: Flask) -> None:
    source, _ = campaign_of(10)
    gateway = ScriptedGateway()
    run(make_sender(Unreliable(source, after_claim=failing(1), before_load=failing(3)), gateway))
    assert set(states()) == {"accepted"}


def test_results_are_held_while_the_database_is_away(
    any_app: Flask, caplog: pytest.LogCaptureFixture
) -> None:
    source, _ = campaign_of(10)
    sender = make_sender(source, ScriptedGateway())
    write, fail = sender._desk.write, failing(3)

    def unreliable(outcomes: Any) -> None:
        fail()
        write(outcomes)

    sender._desk.write = unreliable  # type: ignore[method-assign]
    with caplog.at_level(logging.WARNING):
        run(sender)
    assert set(states()) == {"accepted"}
    assert sum("results held" in r.message for r in caplog.records) == 3


def test_a_write_that_commits_and_then_raises_is_repeated_without_harm(any_app: Flask) -> None:
    source, _ = campaign_of(10)
    gateway = ScriptedGateway()
    sender = make_sender(source, gateway)
    write, fail = sender._desk.write, failing(2)

    def unreliable(outcomes: Any) -> None:
        write(outcomes)
        fail()

    sender._desk.write = unreliable  # type: ignore[method-assign]
    run(sender)
    assert len(gateway.sent) == 10
    assert set(states()) == {"accepted"}


def test_what_is_in_the_air_is_written_though_the_database_ends_the_run(any_app: Flask) -> None:
    source, _ = campaign_of(20)
    calls = iter(range(100))

    def away_from_the_second_slice_on() -> None:
        if next(calls) > 0:
            raise sa.exc.OperationalError("SELECT", {}, Exception("away"))

    gateway = ScriptedGateway(takes_s=0.3)
    bad = Unreliable(source, before_load=away_from_the_second_slice_on)
    sender = make_sender(bad, gateway, slice_size=10, lease_s=CALL_S + MARGIN_S + 1.5)
    with pytest.raises(sa.exc.OperationalError):
        run(sender)
    assert len(gateway.sent) == 10
    assert states() == ["accepted"] * 10 + ["sending"] * 10


def test_a_fault_of_ours_in_one_send_does_not_lose_the_results_of_others(any_app: Flask) -> None:
    source, ids = campaign_of(10)

    def script(body: Mapping[str, Any]) -> Answer:
        if body["biz_opaque_callback_data"] == f"r:{ids[3]}:1":
            raise RuntimeError("a bug")
        return accept(body)

    run(make_sender(source, ScriptedGateway(script)))
    assert states() == ["accepted"] * 3 + ["sending"] + ["accepted"] * 6


def test_a_result_that_no_column_takes_does_not_hold_the_rest_for_ever(any_app: Flask) -> None:
    """Replies have a unique index on the message's id: a provider that repeats one breaks it."""
    source, _ = replies(["um", "dois", "três"])
    answers = iter(("same", "same", "other"))
    run(make_sender(source, ScriptedGateway(lambda _b: Accepted(next(answers)))))
    assert states(Message) == ["accepted", "sending", "accepted"]
