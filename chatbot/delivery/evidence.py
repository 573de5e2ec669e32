"""What statuses prove about rows, and how it lifts them up the ladder."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec
import sqlalchemy as sa

from chatbot.core.db import UtcDateTime, db_now, moment_text, storable
from chatbot.core.rows import json_rows
from chatbot.delivery.ledger import Ledger
from chatbot.delivery.states import State, rank_of


class Evidence(msgspec.Struct, kw_only=True):
    """What the statuses of one batch prove about one row: its furthest state, and when what was first.
    `receipts.merge` gathers it."""

    row_id: int
    attempt: int | None
    wamid: str
    state: State
    sent_at: datetime | None = None
    delivered_at: datetime | None = None
    read_at: datetime | None = None
    failed_at: datetime | None = None
    error_code: int | None = None
    error_detail: str | None = None


def apply_evidence(
    connection: sa.Connection, ledger: Ledger, evidence: Sequence[Evidence]
) -> dict[int, str]:
    """Lift rows up the ladder, in one statement for all; returns the wamid of each row that exists.

    A status is proof of its attempt whatever the row's state is now: a row in doubt is settled by it.
    """
    t = ledger.table
    v = _evidence_rows(connection, evidence)
    rises = rank_of(v.c.state) > rank_of(t.c.state)
    moments = {
        name: sa.func.coalesce(t.c[name], v.c[name])
        for name in ("sent_at", "delivered_at", "read_at", "failed_at")
    }
    found = ledger.update(
        connection,
        sa.update(t)
        .where(t.c.id == v.c.row_id, t.c.attempt >= v.c.attempt)
        .values(
            state=sa.case((rises, v.c.state), else_=t.c.state),
            wamid=sa.func.coalesce(t.c.wamid, v.c.wamid),
            accepted_at=sa.func.coalesce(t.c.accepted_at, v.c.sent_at, db_now()),
            error_code=sa.func.coalesce(v.c.error_code, t.c.error_code),
            error_detail=sa.func.coalesce(v.c.error_detail, t.c.error_detail),
            **moments,
        ),
    )
    return {row.id: row.wamid for row in found}


def _evidence_rows(connection: sa.Connection, evidence: Sequence[Evidence]) -> sa.Subquery:
    rows = [
        (
            e.row_id,
            e.attempt or 0,
            storable(e.wamid),
            e.state,
            moment_text(e.sent_at),
            moment_text(e.delivered_at),
            moment_text(e.read_at),
            moment_text(e.failed_at),
            e.error_code,
            storable(e.error_detail, 500),
        )
        for e in evidence
    ]
    return json_rows(
        connection,
        rows,
        row_id=sa.BigInteger(),
        attempt=sa.Integer(),
        wamid=sa.String(255),
        state=sa.String(10),
        sent_at=UtcDateTime(),
        delivered_at=UtcDateTime(),
        read_at=UtcDateTime(),
        failed_at=UtcDateTime(),
        error_code=sa.Integer(),
        error_detail=sa.String(500),
    )
