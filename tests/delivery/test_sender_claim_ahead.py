"""Sender: claims only a little ahead of its calls, and sends in the order of its claims."""

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


def test_with_a_slow_provider_the_number_of_claimed_rows_is_bounded(
    any_app: Flask,
) -> None:
    """So that a pause, a cancellation or an opt-out stops nearly all unsent messages."""
    source, _ = make_campaign_source(700)
    seen: list[Counter[str]] = []

    def count_states(body: Mapping[str, Any]) -> GatewayAnswer:
        if not seen:
            seen.append(Counter(list_states()))
        return accept(body)

    run_sender(make_sender(source, ScriptedGateway(count_states, latency_s=1.5), rate=1e6), 0.5)
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
    """Results are held while the database is away, but only of a few batches."""
    source, _ = make_campaign_source(20 * SMALL)
    gateway = ScriptedGateway()
    sender = make_sender(source, gateway, rate=1e6, batch_size=SMALL)
    write, sent = sender._store.save_results, []

    def slow(results: list[SendResult]) -> None:
        time.sleep(0.3)
        sent.append(len(gateway.sent))
        write(results)

    sender._store.save_results = slow  # type: ignore[assignment,method-assign]
    run_sender(sender, 10)
    assert sent[0] <= MAX_UNWRITTEN_BATCHES * SMALL
    assert set(list_states()) == {"accepted"}
