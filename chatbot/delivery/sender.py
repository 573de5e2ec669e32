"""The sender: claims slice after slice, sends it, and has written what became of it; for any ledger.

It runs for a time slice in one event loop, and its desk in threads beside it. Slices overlap, so that
the wire is never idle while one is claimed or written down. No transaction is open during a call.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Sequence

import sqlalchemy as sa

from chatbot.channels.gateway import Gateway, GatewayAnswer
from chatbot.channels.whatsapp.errors import ErrorPolicy
from chatbot.core.db import sanitize_text
from chatbot.core.signals import StopOnSigterm
from chatbot.delivery.batches import answered_result, drain, unrenderable_result, unsent_result
from chatbot.delivery.error_policy import SendDecision, classify_answer
from chatbot.delivery.outbound import OutboundMessage, RecipientQueue, SendSource
from chatbot.delivery.results import DeliveryResult, ResultKind
from chatbot.delivery.send_store import EMPTY_BATCH, ClaimedBatch, SendStore
from chatbot.delivery.throttle import Throttle

log = logging.getLogger(__name__)

# So many slices at most are claimed and not wholly on the wire: one departs, one is read, one is claimed,
# and one makes good what another was late by. At an ordinary pace it is one or two: the next is claimed
# as late as can be, so that what a killed worker leaves in doubt is little more than a slice.
BATCH_SIZE = 64
MAX_CLAIMED_AHEAD = 4
MAX_UNWRITTEN_BATCHES = 8  # slices that are claimed and not yet written down
MAX_CONCURRENT_CALLS = 128  # calls
CLAIM_LEAD_S = 0.05  # how long before its turn a slice of a campaign is claimed
FLUSH_S = 1.0
CALL_TIMEOUT_S = 15.0  # the longest that one call may take by itself
CALL_MARGIN_S = 3.0  # what a loaded machine, and aiohttp's rounding of long time-outs, add to it
LEASE_CALLS = 3  # a lease lasts as long as so many calls
PAUSE_S = 1.0
MAX_SLEEP_S = 0.5  # the longest nap, so that a stop is noticed
MAX_CATCH_UP_S = 0.1  # how much of a delay may be made good at once
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
        """Claim no more; what is on the wire is finished and written down."""
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
                        batches = await drain(batches, MAX_UNWRITTEN_BATCHES - 1)
                        await self._claim_slots.acquire()
                        if self._stopping or time.monotonic() >= until:
                            break
                        claim = await self._claim_batch()
                        if claim is None:
                            break
                        claimed += claim.rows
                        batches.add(asyncio.create_task(self._send_batch(claim)))
                    await drain(batches, 0)
                finally:
                    # Whatever ended the loop, what is in the air is finished and written down.
                    if batches:
                        await asyncio.wait(batches)
        return claimed

    async def _claim_batch(self) -> ClaimedBatch | None:
        """The next slice; one of no rows when it is too early for one; None when nothing is due."""
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
        """Send a slice evenly spaced and write its outcomes as they come."""
        try:
            waiting = await self._dispatch(claim) if claim.rows else set()
        finally:
            self._claim_slots.release()
        while waiting:
            waiting = await self._save_finished(waiting, FLUSH_S)

    async def _dispatch(self, claim: ClaimedBatch) -> set[asyncio.Task[list[DeliveryResult]]]:
        """Slices are read and sent in the order of their claims: each takes its turns when the one before
        has taken all of its own."""
        async with self._load_lock:
            queues, deferred = await asyncio.to_thread(
                self._store.load, claim, lambda: self._stopping
            )
            if deferred:
                await self._save_results(deferred)
        if not queues and not deferred:  # the claim had failed indeed, and the next one may as well
            self._paused_until = time.monotonic() + PAUSE_S
        sends: set[asyncio.Task[list[DeliveryResult]]] = set()
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
        """When the wire is ours: what was late does not burst."""
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
        self, tasks: set[asyncio.Task[list[DeliveryResult]]], timeout_s: float
    ) -> set[asyncio.Task[list[DeliveryResult]]]:
        if not tasks:
            return tasks
        done, waiting = await asyncio.wait(tasks, timeout=timeout_s)
        results: list[DeliveryResult] = []
        for task in done:
            if error := task.exception():
                # Its rows are in doubt when their lease ends; the others' results must not be lost.
                log.error("a send failed by our own fault", exc_info=error)
            else:
                results += task.result()
        if results:
            await self._save_results(results)
        return waiting

    async def _send_queue(
        self, queue: RecipientQueue, send_deadline: float
    ) -> list[DeliveryResult]:
        """One call after the other, and then the room is another's."""
        results: list[DeliveryResult] = []
        try:
            for message in queue:
                result = await self._send(message, send_deadline)
                results.append(result)
                if result.result in (ResultKind.RETRY, ResultKind.UNSENT):
                    # What comes after must not arrive before.
                    rest = queue[len(results) :]
                    results += [unsent_result(later, result.retry_in_s) for later in rest]
                    break
        finally:
            self._call_slots.release()
        return results

    async def _send(self, message: OutboundMessage, send_deadline: float) -> DeliveryResult:
        if message.body is None:
            return unrenderable_result(message)
        if self._stopping or time.monotonic() > send_deadline:
            return unsent_result(message)
        return await self._handle_answer(message, await self._gateway.send(message.body))

    async def _handle_answer(
        self, message: OutboundMessage, answer: GatewayAnswer
    ) -> DeliveryResult:
        verdict = classify_answer(answer, message.attempt)
        if self._adjust_pace(verdict):
            await asyncio.to_thread(self._throttle.slow_down)
        if verdict.halts and verdict.policy:
            self._stopping = True
            await self._halt(verdict.policy, verdict, message.row_id)
        return answered_result(message, answer, verdict)

    async def _halt(self, policy: ErrorPolicy, verdict: SendDecision, row_id: int) -> None:
        """Without the database nothing is halted but ourselves; the next slice meets the same error."""
        code, detail = verdict.code or 0, sanitize_text(verdict.detail, 500) or ""
        try:
            await asyncio.to_thread(self._source.halt, policy, code, detail, row_id)
        except sa.exc.DBAPIError as error:
            log.warning("not halted, the database is away: %s", error)

    def _adjust_pace(self, verdict: SendDecision) -> bool:
        """Hold down when the provider asks for it, give up when nobody answers. Returns whether the
        pace is to be lowered: once for a burst of refusals."""
        too_fast, now = verdict.policy is ErrorPolicy.SLOW, time.monotonic()
        is_first = too_fast and now >= self._paused_until
        if too_fast:
            self._paused_until = now + max(PAUSE_S, verdict.retry_in_s)
        self._connect_failures = (
            self._connect_failures + 1 if verdict.result is ResultKind.UNSENT else 0
        )
        if self._connect_failures >= MAX_CONNECT_FAILURES and verdict.policy is None:
            self._stopping = True
        return is_first

    async def _save_results(self, results: Sequence[DeliveryResult]) -> None:
        """Results are held while the database is away: a message that was sent must not be forgotten."""
        delay_s = 0.05
        while True:
            try:
                await asyncio.to_thread(self._store.save_results, results)
                return
            except (sa.exc.DataError, sa.exc.IntegrityError) as error:
                # Never mended by waiting: the one that is at fault stays in doubt, the rest goes on.
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
