"""How far the sender claims ahead of the wire, and that what it claims keeps its order."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

from flask import Flask

from chatbot.channels.gateway import GatewayAnswer
from chatbot.delivery.results import SendResult
from chatbot.delivery.sender import (
    BATCH_SIZE,
    MAX_CLAIMED_AHEAD,
    MAX_CONCURRENT_CALLS,
    MAX_UNWRITTEN_BATCHES,
)
from tests.support.gateways import ScriptedGateway, accept
from tests.support.sending import (
    UnreliableSource,
    list_states,
    make_campaign_source,
    make_sender,
    run_sender,
)

SMALL = 32


def test_with_a_slow_provider_no_more_is_claimed_than_can_soon_be_sent(
    any_app: Flask,
) -> None:
    """So that a pause, a cancelling and an opt-out hold for nearly all that was not sent."""
    source, _ = make_campaign_source(700)
    seen: list[Counter[str]] = []

    def look(body: Mapping[str, Any]) -> GatewayAnswer:
        if not seen:
            seen.append(Counter(list_states()))
        return accept(body)

    run_sender(make_sender(source, ScriptedGateway(look, latency_s=1.5), rate=1e6), 0.5)
    claimed = seen[0]["sending"]
    assert (
        MAX_CONCURRENT_CALLS
        < claimed
        <= MAX_CONCURRENT_CALLS + MAX_CLAIMED_AHEAD * BATCH_SIZE
        < MAX_UNWRITTEN_BATCHES * BATCH_SIZE
    )
    assert seen[0]["queued"] == 700 - claimed


def test_a_batch_that_loads_slowly_is_still_sent_before_the_next_one(any_app: Flask) -> None:
    source, ids = make_campaign_source(4 * SMALL)
    delays = iter([0.5, 0.0, 0.2])
    slow = UnreliableSource(source, before_load=lambda: time.sleep(next(delays, 0.0)))
    gateway = ScriptedGateway()
    run_sender(make_sender(slow, gateway, rate=1e6, batch_size=SMALL))
    assert gateway.callbacks == [f"r:{row_id}:1" for row_id in ids]


def test_batches_whose_results_cannot_be_written_stop_the_claiming(any_app: Flask) -> None:
    """Results are held while the database is away: not of ever more slices."""
    source, _ = make_campaign_source(20 * SMALL)
    gateway = ScriptedGateway()
    sender = make_sender(source, gateway, rate=1e6, batch_size=SMALL)
    write, sent = sender._store.save_results, []

    def slow(outcomes: list[SendResult]) -> None:
        time.sleep(0.3)
        sent.append(len(gateway.sent))
        write(outcomes)

    sender._store.save_results = slow  # type: ignore[assignment,method-assign]
    run_sender(sender, 10)
    assert sent[0] <= MAX_UNWRITTEN_BATCHES * SMALL
    assert set(list_states()) == {"accepted"}
