from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from chatbot.channels.gateway import Accepted, GatewayAnswer
from chatbot.conversations.models import Message
from chatbot.delivery.sender import CALL_MARGIN_S, CALL_TIMEOUT_S, MAX_CLAIMED_AHEAD
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


def test_a_claim_that_commits_and_then_raises_is_sent_once(any_app: Flask) -> None:
    source, _ = make_campaign_source(10)
    gateway = ScriptedGateway()
    run_sender(make_sender(UnreliableSource(source, after_claim=fail_first(1)), gateway))
    assert len(set(gateway.callbacks)) == len(gateway.callbacks) == 10
    assert set(list_states()) == {"accepted"}


def test_a_slow_claim_does_not_move_its_reservation(any_app: Flask) -> None:
    """Keep to the reservation: the time after it is another worker's.

    A batch that began at the end of its claim would run into it, and the next be reserved too late.
    """
    source, _ = make_campaign_source(10)
    moments: list[float] = []
    recording = UnreliableSource(source, after_claim=lambda: moments.append(time.monotonic()))
    sender = make_sender(recording, ScriptedGateway())
    batch = asyncio.run(sender._claim_batch())
    assert batch is not None
    assert batch.first_send_at <= moments[0]
    reservation = batch.reservation
    assert (
        sender._reserved_until == batch.first_send_at + reservation.count * reservation.interval_s
    )


def test_claims_that_fail_while_reading_works_are_retried_slowly(any_app: Flask) -> None:
    """With a full disk or a read-only standby the sender does not spin or reserve time in vain."""
    source, _ = make_campaign_source(10)
    tries: list[float] = []

    def read_only(*_: Any) -> int:
        tries.append(time.monotonic())
        raise sa.exc.OperationalError("UPDATE", {}, Exception("read-only transaction"))

    claim, source.claim = source.claim, read_only  # type: ignore[method-assign]
    gateway = ScriptedGateway()
    run_sender(make_sender(source, gateway), 2)
    assert 1 < len(tries) <= 3 * (MAX_CLAIMED_AHEAD + 1)
    source.claim = claim  # type: ignore[method-assign]
    run_sender(make_sender(source, gateway))
    assert set(list_states()) == {"accepted"}


def test_a_claim_whose_rows_cannot_be_loaded_at_first_is_not_left_in_doubt(any_app: Flask) -> None:
    source, _ = make_campaign_source(10)
    gateway = ScriptedGateway()
    run_sender(
        make_sender(
            UnreliableSource(source, after_claim=fail_first(1), before_load=fail_first(3)), gateway
        )
    )
    assert set(list_states()) == {"accepted"}


def test_results_are_held_while_the_database_is_away(
    any_app: Flask, caplog: pytest.LogCaptureFixture
) -> None:
    source, _ = make_campaign_source(10)
    sender = make_sender(source, ScriptedGateway())
    write, fail = sender._store.save_results, fail_first(3)

    def unreliable(results: Any) -> None:
        fail()
        write(results)

    sender._store.save_results = unreliable  # type: ignore[method-assign]
    with caplog.at_level(logging.WARNING):
        run_sender(sender)
    assert set(list_states()) == {"accepted"}
    assert sum("results held" in r.message for r in caplog.records) == 3


def test_a_write_that_commits_and_then_raises_is_repeated_without_harm(any_app: Flask) -> None:
    source, _ = make_campaign_source(10)
    gateway = ScriptedGateway()
    sender = make_sender(source, gateway)
    write, fail = sender._store.save_results, fail_first(2)

    def unreliable(results: Any) -> None:
        write(results)
        fail()

    sender._store.save_results = unreliable  # type: ignore[method-assign]
    run_sender(sender)
    assert len(gateway.sent) == 10
    assert set(list_states()) == {"accepted"}


def test_batches_in_flight_are_written_though_the_database_ends_the_run(any_app: Flask) -> None:
    source, _ = make_campaign_source(20)
    calls = iter(range(100))

    def fail_from_the_second_batch_on() -> None:
        if next(calls) > 0:
            raise sa.exc.OperationalError("SELECT", {}, Exception("away"))

    gateway = ScriptedGateway(latency_s=0.3)
    bad = UnreliableSource(source, before_load=fail_from_the_second_batch_on)
    sender = make_sender(bad, gateway, batch_size=10, lease_s=CALL_TIMEOUT_S + CALL_MARGIN_S + 1.5)
    with pytest.raises(sa.exc.OperationalError):
        run_sender(sender)
    assert len(gateway.sent) == 10
    assert list_states() == ["accepted"] * 10 + ["sending"] * 10


def test_a_bug_in_one_send_does_not_lose_the_results_of_others(any_app: Flask) -> None:
    source, ids = make_campaign_source(10)

    def script(body: Mapping[str, Any]) -> GatewayAnswer:
        if body["biz_opaque_callback_data"].startswith(f"r:{ids[3]}:1:"):
            raise RuntimeError("a bug")
        return accept(body)

    run_sender(make_sender(source, ScriptedGateway(script)))
    assert list_states() == ["accepted"] * 3 + ["sending"] + ["accepted"] * 6


def test_a_result_that_cannot_be_stored_does_not_hold_the_others(any_app: Flask) -> None:
    """Replies have a unique index on the wamid, which a provider violates by repeating one."""
    source, _ = make_reply_source(["um", "dois", "três"])
    answers = iter(("same", "same", "other"))
    run_sender(make_sender(source, ScriptedGateway(lambda _b: Accepted(next(answers)))))
    assert list_states(Message) == ["accepted", "sending", "accepted"]
