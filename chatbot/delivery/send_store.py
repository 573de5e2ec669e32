"""Store of the sender: the calls to Redis and the database, each in a thread."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import sqlalchemy as sa

from chatbot.core import clock
from chatbot.delivery.outbound import RecipientQueue, SendSource
from chatbot.delivery.receipts import record_double_acceptances
from chatbot.delivery.results import (
    ResultKind,
    SendResult,
    count_results,
    record_results,
    unsent_result,
)
from chatbot.delivery.send_table import DeliveryFailure, SendTable
from chatbot.delivery.throttle import QuotaRequest, Reservation, Throttle

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ClaimedBatch:
    """Rows that carry `token`.

    Both times are monotonic: of the first reserved send, and the one after which another worker may
    have claimed the rows.
    """

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
    """Claims and loads batches, and writes their results.

    `lease_s` is how long a claim lasts, `send_within_s` how long after it a call may begin.
    """

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
        """Reserve sends and claim as many rows; return None when nothing is due.

        The batch has no rows when nothing could be reserved. A claim that fails counts as made: a
        commit may succeed and then raise, and rows that carry our token are ours.
        """
        reservation = self._throttle.reserve(self._batch_size, is_reply=self._source.is_reply)
        # From before the claim, so that our deadline is never later than the database's.
        now = time.monotonic()
        # Also from before the claim: the time after our reservation is another worker's.
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
    ) -> tuple[list[RecipientQueue], list[SendResult]]:
        """Return the queues that may go now, and the messages deferred for lack of quota.

        Raises:
            DBAPIError: the database is away for as long as the batch could be sent.
        """
        queues = self._load_queues(claim, is_stopping)
        requests = [
            QuotaRequest(queue[0].to, len(queue), queue[0].quota_contact_id) for queue in queues
        ]
        grants = (
            self._throttle.grant_quota(requests, is_reply=self._source.is_reply) if requests else []
        )
        ready: list[RecipientQueue] = []
        deferred: list[SendResult] = []
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

    def save_results(self, results: Sequence[SendResult]) -> None:
        send_table = self._source.send_table
        with self._engine.begin() as connection:
            doubles = record_results(connection, send_table, results, self._doubt_window_s)
            _apply_side_effects(connection, send_table, results)
            new_wa_ids = {o.row_id: o.wa_id for o in results if o.wa_id}
            if new_wa_ids:
                self._source.save_wa_ids(connection, new_wa_ids)
            count_results(send_table, results)
            if doubles:
                record_double_acceptances(connection, send_table, doubles)
                log.error("a message was accepted twice; see the alarm in the panel")


def _apply_side_effects(
    connection: sa.Connection, send_table: SendTable, results: Sequence[SendResult]
) -> None:
    now = clock.now()
    failures = [
        DeliveryFailure(
            row_id=o.row_id, code=o.error_code, detail=o.error_detail or "", happened_at=now
        )
        for o in results
        if o.kind is ResultKind.FAILED and o.error_code is not None
    ]
    if failures and send_table.side_effects is not None:
        send_table.side_effects.on_failed(connection, failures)
