"""The desk: the half of the sender that waits for Redis and the database, each method in a thread.

It books time and claims a slice, reads what the slice says, and writes down what became of it.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import sqlalchemy as sa

from chatbot.delivery.consequences import draw_from_answers
from chatbot.delivery.flights import unsent
from chatbot.delivery.local_pace import Booking
from chatbot.delivery.outcomes import Outcome, count_outcomes, record
from chatbot.delivery.pacer import Guest, Pacer
from chatbot.delivery.receipts import report_doubles
from chatbot.delivery.source import Lane, Source

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Claim:
    """A slice of rows that carry `token`. `begins` is the monotonic time of its first booked send,
    `send_before` the one after which its lease may be another's."""

    token: str
    booking: Booking
    begins: float
    send_before: float
    rows: int = 0

    @property
    def ends(self) -> float:
        return self.begins + self.booking.count * self.booking.interval_s


NOTHING_YET = Claim("", Booking(0, 0.0, 0.0), 0.0, 0.0)


class Desk:
    """`lease_s` is how long a claim lasts, `send_within_s` how long after it a call may begin."""

    def __init__(
        self,
        engine: sa.Engine,
        source: Source,
        pacer: Pacer,
        *,
        slice_size: int,
        lease_s: float,
        send_within_s: float,
        doubt_window_s: float,
    ) -> None:
        self._engine = engine
        self._source = source
        self._pacer = pacer
        self._slice_size = slice_size
        self._lease_s = lease_s
        self._send_within_s = send_within_s
        self._doubt_window_s = doubt_window_s

    def claim(self) -> Claim | None:
        """Book, and claim as many rows as were booked; no rows when nothing could be booked, None when
        nothing is due. A claim that fails counts as made: a commit may succeed and then raise, and what
        carries our token is ours."""
        booking = self._pacer.book(self._slice_size, is_reply=self._source.is_reply)
        # From before the claim, so that our deadline is never later than the database's.
        now = time.monotonic()
        # From here on, and not from the end of the claim: what was booked next is another worker's.
        claim = Claim(
            secrets.token_hex(16), booking, now + booking.wait_s, now + self._send_within_s
        )
        if not booking.count:
            return claim
        try:
            rows = self._source.claim(claim.token, booking.count, self._lease_s)
        except sa.exc.DBAPIError as error:
            log.warning("a claim failed, or its answer was lost: %s", error)
            rows = 1
        return replace(claim, rows=rows) if rows else None

    def load(
        self, claim: Claim, is_stopping: Callable[[], bool]
    ) -> tuple[list[Lane], list[Outcome]]:
        """The lanes that may go now, and what of the slice is put off since its person, or the
        portfolio's day, has no room.

        Raises:
            DBAPIError: the database stays away for as long as the slice could be sent.
        """
        lanes = self._lanes(claim, is_stopping)
        guests = [Guest(lane[0].to, len(lane), lane[0].counts_as) for lane in lanes]
        admissions = self._pacer.admit(guests, is_reply=self._source.is_reply) if guests else []
        going: list[Lane] = []
        put_off: list[Outcome] = []
        for lane, admission in zip(lanes, admissions, strict=True):
            if admission.count:
                going.append(lane[: admission.count])
            put_off += [unsent(p, admission.wait_s) for p in lane[admission.count :]]
        return going, put_off

    def _lanes(self, claim: Claim, is_stopping: Callable[[], bool]) -> list[Lane]:
        delay_s = 0.05
        while True:
            try:
                return self._source.load(claim.token)
            except sa.exc.DBAPIError:
                if is_stopping() or time.monotonic() + delay_s > claim.send_before:
                    raise
                time.sleep(delay_s)
                delay_s = min(delay_s * 2, 2.0)

    def write(self, outcomes: Sequence[Outcome]) -> None:
        ledger = self._source.ledger
        with self._engine.begin() as connection:
            doubles = record(connection, ledger, outcomes, self._doubt_window_s)
            draw_from_answers(connection, ledger, outcomes)
            learned = {o.row_id: o.wa_id for o in outcomes if o.wa_id}
            if learned:
                self._source.learn(connection, learned)
            count_outcomes(ledger, outcomes)
            if doubles:
                report_doubles(connection, ledger, doubles)
                log.error("a message was accepted twice; see the alarm in the panel")
