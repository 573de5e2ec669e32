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

from chatbot.channels.gateway import Answer, Gateway
from chatbot.channels.whatsapp.errors import Reaction
from chatbot.core.db import storable
from chatbot.delivery.desk import NOTHING_YET, Claim, Desk
from chatbot.delivery.flights import answered, land, unsent, unwritable
from chatbot.delivery.outcomes import Outcome, Result
from chatbot.delivery.pacer import Pacer
from chatbot.delivery.reactions import Verdict, judge
from chatbot.delivery.source import Lane, Parcel, Source
from chatbot.delivery.stopping import told_to_stop

log = logging.getLogger(__name__)

# So many slices at most are claimed and not wholly on the wire: one departs, one is read, one is claimed,
# and one makes good what another was late by. At an ordinary pace it is one or two: the next is claimed
# as late as can be, so that what a killed worker leaves in doubt is little more than a slice.
SLICE = 64
AHEAD = 4
OVERLAP = 8  # slices that are claimed and not yet written down
AT_ONCE = 128  # calls
LEAD_S = 0.05  # how long before its turn a slice of a campaign is claimed
FLUSH_S = 1.0
CALL_S = 15.0  # the longest that one call may take by itself
MARGIN_S = 3.0  # what a loaded machine, and aiohttp's rounding of long time-outs, add to it
LEASE_CALLS = 3  # a lease lasts as long as so many calls
HOLD_DOWN_S = 1.0
STEP_S = 0.5  # the longest nap, so that a stop is noticed
CATCH_UP_S = 0.1  # how much of a delay may be made good at once
MAX_UNREACHED = 3


class Sender:
    def __init__(
        self,
        engine: sa.Engine,
        source: Source,
        gateway: Gateway,
        pacer: Pacer,
        *,
        doubt_window_s: float,
        slice_size: int = SLICE,
        call_s: float = CALL_S,
        lease_s: float | None = None,
    ) -> None:
        lease_s = call_s * LEASE_CALLS if lease_s is None else lease_s
        self._desk = Desk(
            engine,
            source,
            pacer,
            slice_size=slice_size,
            lease_s=lease_s,
            # No call begins later than this after the claim, so that none outlives the lease.
            send_within_s=lease_s - call_s - min(MARGIN_S, call_s / 2),
            doubt_window_s=doubt_window_s,
        )
        self._source = source
        self._gateway = gateway
        self._pacer = pacer
        self._lead_s = math.inf if source.is_reply else LEAD_S
        self._stopping = False
        self._hold_until = 0.0
        self._free_at = 0.0
        self._booked_until = 0.0
        self._unreached = 0
        self._ahead = asyncio.Semaphore(AHEAD)
        self._reading, self._wire = asyncio.Lock(), asyncio.Lock()
        self._room = asyncio.Semaphore(AT_ONCE)

    def stop(self) -> None:
        """Claim no more; what is on the wire is finished and written down."""
        self._stopping = True

    async def run(self, seconds: float) -> int:
        """Send what is due for at most `seconds`; returns the number of rows claimed."""
        until = time.monotonic() + seconds
        flights: set[asyncio.Task[None]] = set()
        claimed = 0
        with told_to_stop(self.stop):
            async with self._gateway:
                try:
                    while not self._stopping and time.monotonic() < until:
                        flights = await land(flights, OVERLAP - 1)
                        await self._ahead.acquire()
                        if self._stopping or time.monotonic() >= until:
                            break
                        claim = await self._take_off()
                        if claim is None:
                            break
                        claimed += claim.rows
                        flights.add(asyncio.create_task(self._fly(claim)))
                    await land(flights, 0)
                finally:
                    # Whatever ended the loop, what is in the air is finished and written down.
                    if flights:
                        await asyncio.wait(flights)
        return claimed

    async def _take_off(self) -> Claim | None:
        """The next slice; one of no rows when it is too early for one; None when nothing is due."""
        early_s = max(self._hold_until, self._booked_until - self._lead_s) - time.monotonic()
        if early_s > 0:
            await asyncio.sleep(min(early_s, STEP_S))
            return NOTHING_YET
        claim = await asyncio.to_thread(self._desk.claim)
        if claim is not None and claim.rows:
            self._booked_until = claim.ends
        elif claim is not None:
            await asyncio.sleep(min(claim.booking.wait_s, STEP_S))
        return claim

    async def _fly(self, claim: Claim) -> None:
        """Send a slice evenly spaced and write its outcomes as they come."""
        try:
            waiting = await self._depart(claim) if claim.rows else set()
        finally:
            self._ahead.release()
        while waiting:
            waiting = await self._write_finished(waiting, FLUSH_S)

    async def _depart(self, claim: Claim) -> set[asyncio.Task[list[Outcome]]]:
        """Slices are read and sent in the order of their claims: each takes its turns when the one before
        has taken all of its own."""
        async with self._reading:
            lanes, put_off = await asyncio.to_thread(self._desk.load, claim, lambda: self._stopping)
            if put_off:
                await self._write(put_off)
        if not lanes and not put_off:  # the claim had failed indeed, and the next one may as well
            self._hold_until = time.monotonic() + HOLD_DOWN_S
        sends: set[asyncio.Task[list[Outcome]]] = set()
        async with self._wire:
            self._free_at = max(self._free_at, claim.begins)
            for lane in lanes:
                turn = self._take_turn(len(lane) * claim.booking.interval_s)
                if max(turn, self._hold_until) > time.monotonic():
                    await self._wait_turn(turn, claim.send_before)
                await self._room.acquire()
                sends.add(asyncio.create_task(self._send_lane(lane, claim.send_before)))
        return sends

    def _take_turn(self, takes_s: float) -> float:
        """When the wire is ours: what was late does not burst."""
        turn = max(self._free_at, time.monotonic() - CATCH_UP_S)
        self._free_at = turn + takes_s
        return turn

    async def _wait_turn(self, turn: float, send_before: float) -> None:
        while not self._stopping and time.monotonic() < send_before:
            delay_s = max(turn, self._hold_until) - time.monotonic()
            if delay_s <= 0:
                return
            await asyncio.sleep(min(delay_s, STEP_S))

    async def _write_finished(
        self, tasks: set[asyncio.Task[list[Outcome]]], timeout_s: float
    ) -> set[asyncio.Task[list[Outcome]]]:
        if not tasks:
            return tasks
        done, waiting = await asyncio.wait(tasks, timeout=timeout_s)
        outcomes: list[Outcome] = []
        for task in done:
            if error := task.exception():
                # Its rows are in doubt when their lease ends; the others' results must not be lost.
                log.error("a send failed by our own fault", exc_info=error)
            else:
                outcomes += task.result()
        if outcomes:
            await self._write(outcomes)
        return waiting

    async def _send_lane(self, lane: Lane, send_before: float) -> list[Outcome]:
        """One call after the other, and then the room is another's."""
        outcomes: list[Outcome] = []
        try:
            for parcel in lane:
                outcome = await self._send(parcel, send_before)
                outcomes.append(outcome)
                if outcome.result in (Result.RETRY, Result.UNSENT):
                    # What comes after must not arrive before.
                    rest = lane[len(outcomes) :]
                    outcomes += [unsent(later, outcome.retry_in_s) for later in rest]
                    break
        finally:
            self._room.release()
        return outcomes

    async def _send(self, parcel: Parcel, send_before: float) -> Outcome:
        if parcel.body is None:
            return unwritable(parcel)
        if self._stopping or time.monotonic() > send_before:
            return unsent(parcel)
        return await self._judge(parcel, await self._gateway.send(parcel.body))

    async def _judge(self, parcel: Parcel, answer: Answer) -> Outcome:
        verdict = judge(answer, parcel.attempt)
        if self._note(verdict):
            await asyncio.to_thread(self._pacer.slow_down)
        if verdict.halts and verdict.reaction:
            self._stopping = True
            await self._halt(verdict.reaction, verdict, parcel.row_id)
        return answered(parcel, answer, verdict)

    async def _halt(self, reaction: Reaction, verdict: Verdict, row_id: int) -> None:
        """Without the database nothing is halted but ourselves; the next slice meets the same error."""
        code, detail = verdict.code or 0, storable(verdict.detail, 500) or ""
        try:
            await asyncio.to_thread(self._source.halt, reaction, code, detail, row_id)
        except sa.exc.DBAPIError as error:
            log.warning("not halted, the database is away: %s", error)

    def _note(self, verdict: Verdict) -> bool:
        """Hold down when the provider asks for it, give up when nobody answers. Returns whether the
        pace is to be lowered: once for a burst of refusals."""
        too_fast, now = verdict.reaction is Reaction.SLOW, time.monotonic()
        is_first = too_fast and now >= self._hold_until
        if too_fast:
            self._hold_until = now + max(HOLD_DOWN_S, verdict.retry_in_s)
        self._unreached = self._unreached + 1 if verdict.result is Result.UNSENT else 0
        if self._unreached >= MAX_UNREACHED and verdict.reaction is None:
            self._stopping = True
        return is_first

    async def _write(self, outcomes: Sequence[Outcome]) -> None:
        """Results are held while the database is away: a message that was sent must not be forgotten."""
        delay_s = 0.05
        while True:
            try:
                await asyncio.to_thread(self._desk.write, outcomes)
                return
            except (sa.exc.DataError, sa.exc.IntegrityError) as error:
                # Never mended by waiting: the one that is at fault stays in doubt, the rest goes on.
                if len(outcomes) == 1:
                    log.error("no place for the result of row %d: %s", outcomes[0].row_id, error)
                    return
                for outcome in outcomes:
                    await self._write([outcome])
                return
            except sa.exc.DBAPIError as error:
                log.warning("%d results held, the database is away: %s", len(outcomes), error)
                await asyncio.sleep(delay_s)
                delay_s = min(delay_s * 2, 5.0)
