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

from chatbot.delivery.batches import unsent_result
from chatbot.delivery.local_throttle import Reservation
from chatbot.delivery.outbound import RecipientQueue, SendSource
from chatbot.delivery.receipts import record_double_acceptances
from chatbot.delivery.results import DeliveryResult, count_results, record_results
from chatbot.delivery.side_effects import apply_result_side_effects
from chatbot.delivery.throttle import QuotaRequest, Throttle

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ClaimedBatch:
    """A slice of rows that carry `token`. `first_send_at` is the monotonic time of its first booked send,
    `send_deadline` the one after which its lease may be another's."""

    token: str
    reservation: Reservation
    first_send_at: float
    send_deadline: float
    rows: int = 0

    @property
    def last_send_at(self) -> float:
        return self.first_send_at + self.reservation.count * self.reservation.interval_s


EMPTY_BATCH = ClaimedBatch("", Reservation(0, 0.0, 0.0), 0.0, 0.0)


class SendStore:
    """`lease_s` is how long a claim lasts, `send_within_s` how long after it a call may begin."""

    def __init__(
        self,
        engine: sa.Engine,
        source: SendSource,
        throttle: Throttle,
        *,
        batch_size: int,
        lease_s: float,
        send_within_s: float,
        doubt_window_s: float,
    ) -> None:
        self._engine = engine
        self._source = source
        self._throttle = throttle
        self._batch_size = batch_size
        self._lease_s = lease_s
        self._send_within_s = send_within_s
        self._doubt_window_s = doubt_window_s

    def claim(self) -> ClaimedBatch | None:
        """Book, and claim as many rows as were booked; no rows when nothing could be booked, None when
        nothing is due. A claim that fails counts as made: a commit may succeed and then raise, and what
        carries our token is ours."""
        reservation = self._throttle.reserve(self._batch_size, is_reply=self._source.is_reply)
        # From before the claim, so that our deadline is never later than the database's.
        now = time.monotonic()
        # From here on, and not from the end of the claim: what was booked next is another worker's.
        claim = ClaimedBatch(
            secrets.token_hex(16), reservation, now + reservation.wait_s, now + self._send_within_s
        )
        if not reservation.count:
            return claim
        try:
            rows = self._source.claim(claim.token, reservation.count, self._lease_s)
        except sa.exc.DBAPIError as error:
            log.warning("a claim failed, or its answer was lost: %s", error)
            rows = 1
        return replace(claim, rows=rows) if rows else None

    def load(
        self, claim: ClaimedBatch, is_stopping: Callable[[], bool]
    ) -> tuple[list[RecipientQueue], list[DeliveryResult]]:
        """The lanes that may go now, and what of the slice is put off since its person, or the
        portfolio's day, has no room.

        Raises:
            DBAPIError: the database stays away for as long as the slice could be sent.
        """
        queues = self._load_queues(claim, is_stopping)
        requests = [
            QuotaRequest(queue[0].to, len(queue), queue[0].quota_contact_id) for queue in queues
        ]
        grants = (
            self._throttle.grant_quota(requests, is_reply=self._source.is_reply) if requests else []
        )
        ready: list[RecipientQueue] = []
        deferred: list[DeliveryResult] = []
        for queue, grant in zip(queues, grants, strict=True):
            if grant.count:
                ready.append(queue[: grant.count])
            deferred += [unsent_result(p, grant.wait_s) for p in queue[grant.count :]]
        return ready, deferred

    def _load_queues(
        self, claim: ClaimedBatch, is_stopping: Callable[[], bool]
    ) -> list[RecipientQueue]:
        delay_s = 0.05
        while True:
            try:
                return self._source.load(claim.token)
            except sa.exc.DBAPIError:
                if is_stopping() or time.monotonic() + delay_s > claim.send_deadline:
                    raise
                time.sleep(delay_s)
                delay_s = min(delay_s * 2, 2.0)

    def save_results(self, results: Sequence[DeliveryResult]) -> None:
        send_table = self._source.send_table
        with self._engine.begin() as connection:
            doubles = record_results(connection, send_table, results, self._doubt_window_s)
            apply_result_side_effects(connection, send_table, results)
            new_wa_ids = {o.row_id: o.wa_id for o in results if o.wa_id}
            if new_wa_ids:
                self._source.save_wa_ids(connection, new_wa_ids)
            count_results(send_table, results)
            if doubles:
                record_double_acceptances(connection, send_table, doubles)
                log.error("a message was accepted twice; see the alarm in the panel")
