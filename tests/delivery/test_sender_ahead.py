"""How far the sender claims ahead of the wire, and that what it claims keeps its order."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

from flask import Flask

from chatbot.channels.gateway import Answer
from chatbot.delivery.outcomes import Outcome
from chatbot.delivery.sender import AHEAD, AT_ONCE, OVERLAP, SLICE
from tests.support.gateways import ScriptedGateway, accept
from tests.support.sending import Unreliable, campaign_of, make_sender, run, states

SMALL = 32


def test_with_a_slow_provider_no_more_is_claimed_than_may_soon_be_on_the_wire(
    any_app: Flask,
) -> None:
    """So that a pause, a cancelling and an opt-out hold for nearly all that was not sent."""
    source, _ = campaign_of(700)
    seen: list[Counter[str]] = []

    def look(body: Mapping[str, Any]) -> Answer:
        if not seen:
            seen.append(Counter(states()))
        return accept(body)

    run(make_sender(source, ScriptedGateway(look, takes_s=1.5), rate=1e6), 0.5)
    claimed = seen[0]["sending"]
    assert AT_ONCE < claimed <= AT_ONCE + AHEAD * SLICE < OVERLAP * SLICE
    assert seen[0]["queued"] == 700 - claimed


def test_a_slice_that_is_read_slowly_goes_before_the_next_one_all_the_same(any_app: Flask) -> None:
    source, ids = campaign_of(4 * SMALL)
    delays = iter([0.5, 0.0, 0.2])
    slow = Unreliable(source, before_load=lambda: time.sleep(next(delays, 0.0)))
    gateway = ScriptedGateway()
    run(make_sender(slow, gateway, rate=1e6, slice_size=SMALL))
    assert gateway.callbacks == [f"r:{row_id}:1" for row_id in ids]


def test_slices_that_cannot_be_written_yet_hold_up_the_claiming(any_app: Flask) -> None:
    """Results are held while the database is away: not of ever more slices."""
    source, _ = campaign_of(20 * SMALL)
    gateway = ScriptedGateway()
    sender = make_sender(source, gateway, rate=1e6, slice_size=SMALL)
    write, sent = sender._desk.write, []

    def slow(outcomes: list[Outcome]) -> None:
        time.sleep(0.3)
        sent.append(len(gateway.sent))
        write(outcomes)

    sender._desk.write = slow  # type: ignore[assignment,method-assign]
    run(sender, 10)
    assert sent[0] <= OVERLAP * SMALL
    assert set(states()) == {"accepted"}
