"""Sender of any send table: claims batch after batch, sends it, and has its results written.

It runs for some seconds in one event loop, with its store in threads beside it. Batches overlap, so
that calls go on while one is claimed or written. No transaction is open during a call.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Sequence

import sqlalchemy as sa

from chatbot.channels.gateway import Gateway
from chatbot.channels.whatsapp.errors import ErrorPolicy
from chatbot.core.db import sanitize_text
from chatbot.delivery.outbound import OutboundMessage, RecipientQueue, SendSource
from chatbot.delivery.results import (
    HALTING_POLICIES,
    ResultKind,
    SendResult,
    classify_answer,
    unrenderable_result,
    unsent_result,
)
from chatbot.delivery.send_store import EMPTY_BATCH, ClaimedBatch, SendStore
from chatbot.delivery.signals import StopOnSigterm
from chatbot.delivery.throttle import Throttle

log = logging.getLogger(__name__)

BATCH_SIZE = 64
# Batches that are claimed and not wholly dispatched: one is dispatched, one loaded, one claimed, and one
# makes up for a delay. At an ordinary rate it is one or two: the next is claimed as late as possible, so
# that a killed worker leaves little more than a batch in doubt.
MAX_CLAIMED_AHEAD = 4
MAX_UNWRITTEN_BATCHES = 8  # claimed, and results not yet written
MAX_CONCURRENT_CALLS = 128
CLAIM_LEAD_S = 0.05  # how long before its turn a batch of a campaign is claimed
FLUSH_S = 1.0
CALL_TIMEOUT_S = 15.0
CALL_MARGIN_S = 3.0  # added by a loaded machine, and by aiohttp's rounding of long time-outs
LEASE_CALLS = 3  # lease, in time-outs of a call
PAUSE_S = 1.0
MAX_SLEEP_S = 0.5  # so that a stop is noticed
MAX_CATCH_UP_S = 0.1  # how much of a delay may be made up for at once
MAX_CONNECT_FAILURES = 3


class Sender:
    def __init__(
        self,
        engine: sa.Engine,
        source: SendSource,
        gateway: Gateway,
        throttle: Throttle,
        *,
        doubt_window_s: float,
        batch_size: int = BATCH_SIZE,
        call_timeout_s: float = CALL_TIMEOUT_S,
        lease_s: float | None = None,
    ) -> None:
        lease_s = call_timeout_s * LEASE_CALLS if lease_s is None else lease_s
        self._store = SendStore(
            engine,
            source,
            throttle,
            batch_size=batch_size,
            lease_s=lease_s,
            # No call begins later than this after the claim, so that none outlives the lease.
            send_within_s=lease_s - call_timeout_s - min(CALL_MARGIN_S, call_timeout_s / 2),
            doubt_window_s=doubt_window_s,
        )
        self._source = source
        self._gateway = gateway
        self._throttle = throttle
        self._claim_lead_s = math.inf if source.is_reply else CLAIM_LEAD_S
        self._stopping = False
        self._paused_until = 0.0
        self._next_send_at = 0.0
        self._reserved_until = 0.0
        self._connect_failures = 0
        self._claim_slots = asyncio.Semaphore(MAX_CLAIMED_AHEAD)
        self._load_lock, self._dispatch_lock = asyncio.Lock(), asyncio.Lock()
        self._call_slots = asyncio.Semaphore(MAX_CONCURRENT_CALLS)

    def stop(self) -> None:
        """Claim no more; calls in flight are finished and their results written."""
        self._stopping = True

    async def run(self, seconds: float) -> int:
        """Send what is due for at most `seconds`; returns the number of rows claimed."""
        until = time.monotonic() + seconds
        batches: set[asyncio.Task[None]] = set()
        claimed = 0
        with StopOnSigterm(self.stop):
            async with self._gateway:
                try:
                    while not self._stopping and time.monotonic() < until:
                        batches = await _drain(batches, MAX_UNWRITTEN_BATCHES - 1)
                        await self._claim_slots.acquire()
                        if self._stopping or time.monotonic() >= until:
                            break
                        claim = await self._claim_batch()
                        if claim is None:
                            break
                        claimed += claim.rows
                        batches.add(asyncio.create_task(self._send_batch(claim)))
                    await _drain(batches, 0)
                finally:
                    # After an error too, batches in flight are finished and written.
                    if batches:
                        await asyncio.wait(batches)
        return claimed

    async def _claim_batch(self) -> ClaimedBatch | None:
        """Claim the next batch; one of no rows when it is too early, None when nothing is due."""
        early_s = (
            max(self._paused_until, self._reserved_until - self._claim_lead_s) - time.monotonic()
        )
        if early_s > 0:
            await asyncio.sleep(min(early_s, MAX_SLEEP_S))
            return EMPTY_BATCH
        claim = await asyncio.to_thread(self._store.claim)
        if claim is not None and claim.rows:
            self._reserved_until = claim.last_send_at
        elif claim is not None:
            await asyncio.sleep(min(claim.reservation.wait_s, MAX_SLEEP_S))
        return claim

    async def _send_batch(self, claim: ClaimedBatch) -> None:
        """Send a batch evenly spaced and write its results as they come."""
        try:
            waiting = await self._dispatch(claim) if claim.rows else set()
        finally:
            self._claim_slots.release()
        while waiting:
            waiting = await self._save_finished(waiting, FLUSH_S)

    async def _dispatch(self, claim: ClaimedBatch) -> set[asyncio.Task[list[SendResult]]]:
        """Start the sends of a batch; batches are loaded and dispatched in the order of their claims."""
        async with self._load_lock:
            queues, deferred = await asyncio.to_thread(
                self._store.load, claim, lambda: self._stopping
            )
            if deferred:
                await self._save_results(deferred)
        if not queues and not deferred:  # the claim did fail, and the next one may as well
            self._paused_until = time.monotonic() + PAUSE_S
        sends: set[asyncio.Task[list[SendResult]]] = set()
        async with self._dispatch_lock:
            self._next_send_at = max(self._next_send_at, claim.first_send_at)
            for queue in queues:
                slot_at = self._reserve_slot(len(queue) * claim.reservation.interval_s)
                if max(slot_at, self._paused_until) > time.monotonic():
                    await self._wait_for_slot(slot_at, claim.send_deadline)
                await self._call_slots.acquire()
                sends.add(asyncio.create_task(self._send_queue(queue, claim.send_deadline)))
        return sends

    def _reserve_slot(self, duration_s: float) -> float:
        """Return the time of the next send; after a delay the sends do not burst."""
        slot_at = max(self._next_send_at, time.monotonic() - MAX_CATCH_UP_S)
        self._next_send_at = slot_at + duration_s
        return slot_at

    async def _wait_for_slot(self, slot_at: float, send_deadline: float) -> None:
        while not self._stopping and time.monotonic() < send_deadline:
            delay_s = max(slot_at, self._paused_until) - time.monotonic()
            if delay_s <= 0:
                return
            await asyncio.sleep(min(delay_s, MAX_SLEEP_S))

    async def _save_finished(
        self, tasks: set[asyncio.Task[list[SendResult]]], timeout_s: float
    ) -> set[asyncio.Task[list[SendResult]]]:
        if not tasks:
            return tasks
        done, waiting = await asyncio.wait(tasks, timeout=timeout_s)
        results: list[SendResult] = []
        for task in done:
            if error := task.exception():
                # Its rows are in doubt when their lease ends; the other results must not be lost.
                log.error("a send failed by our own fault", exc_info=error)
            else:
                results += task.result()
        if results:
            await self._save_results(results)
        return waiting

    async def _send_queue(self, queue: RecipientQueue, send_deadline: float) -> list[SendResult]:
        """Send one message after the other, then free the call slot."""
        results: list[SendResult] = []
        try:
            for message in queue:
                result = await self._send(message, send_deadline)
                results.append(result)
                if result.kind in (ResultKind.RETRY, ResultKind.UNSENT):
                    # Later messages must not arrive before this one.
                    rest = queue[len(results) :]
                    results += [unsent_result(later, result.retry_in_s) for later in rest]
                    break
        finally:
            self._call_slots.release()
        return results

    async def _send(self, message: OutboundMessage, send_deadline: float) -> SendResult:
        if message.body is None:
            return unrenderable_result(message)
        if self._stopping or time.monotonic() > send_deadline:
            return unsent_result(message)
        result = classify_answer(await self._gateway.send(message.body), message)
        if self._adjust_rate(result):
            await asyncio.to_thread(self._throttle.slow_down)
        if result.policy in HALTING_POLICIES:
            self._stopping = True
            await self._halt(result.policy, result)
        return result

    async def _halt(self, policy: ErrorPolicy, result: SendResult) -> None:
        """Halt the source; without the database only this sender stops, and the next meets the error."""
        code, detail = result.error_code or 0, sanitize_text(result.error_detail, 500) or ""
        try:
            await asyncio.to_thread(self._source.halt, policy, code, detail, result.row_id)
        except sa.exc.DBAPIError as error:
            log.warning("not halted, the database is away: %s", error)

    def _adjust_rate(self, result: SendResult) -> bool:
        """Pause when the provider asks for it, stop when it cannot be reached.

        Return whether to slow the throttle down: once for a burst of refusals.
        """
        too_fast, now = result.policy is ErrorPolicy.SLOW, time.monotonic()
        is_first = too_fast and now >= self._paused_until
        if too_fast:
            self._paused_until = now + max(PAUSE_S, result.retry_in_s)
        self._connect_failures = (
            self._connect_failures + 1 if result.kind is ResultKind.UNSENT else 0
        )
        if self._connect_failures >= MAX_CONNECT_FAILURES and result.policy is None:
            self._stopping = True
        return is_first

    async def _save_results(self, results: Sequence[SendResult]) -> None:
        """Write results, however long the database is away: a sent message must not be sent again."""
        delay_s = 0.05
        while True:
            try:
                await asyncio.to_thread(self._store.save_results, results)
                return
            except (sa.exc.DataError, sa.exc.IntegrityError) as error:
                # Waiting does not fix it: the row at fault stays in doubt, the others are written.
                if len(results) == 1:
                    log.error("no place for the result of row %d: %s", results[0].row_id, error)
                    return
                for result in results:
                    await self._save_results([result])
                return
            except sa.exc.DBAPIError as error:
                log.warning("%d results held, the database is away: %s", len(results), error)
                await asyncio.sleep(delay_s)
                delay_s = min(delay_s * 2, 5.0)


async def _drain(batches: set[asyncio.Task[None]], most: int) -> set[asyncio.Task[None]]:
    """Wait until at most `most` batches are in flight."""
    while len(batches) > most:
        done, batches = await asyncio.wait(batches, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    return batches
