"""What statuses prove about rows, and how it lifts them up the ladder."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec
import sqlalchemy as sa

from chatbot.core.db import UtcDateTime, db_now, sanitize_text, timestamp_text
from chatbot.core.db.bulk_sql import json_rows
from chatbot.delivery.send_table import SendTable
from chatbot.delivery.states import MessageState, rank_expression


class RowProgress(msgspec.Struct, kw_only=True):
    """What the statuses of one batch prove about one row: its furthest state, and when what was first.
    `receipts.merge_receipts` gathers it."""

    row_id: int
    attempt: int | None
    wamid: str
    state: MessageState
    sent_at: datetime | None = None
    delivered_at: datetime | None = None
    read_at: datetime | None = None
    failed_at: datetime | None = None
    error_code: int | None = None
    error_detail: str | None = None


def apply_progress(
    connection: sa.Connection, send_table: SendTable, progress: Sequence[RowProgress]
) -> dict[int, str]:
    """Lift rows up the ladder, in one statement for all; returns the wamid of each row that exists.

    A status is proof of its attempt whatever the row's state is now: a row in doubt is settled by it.
    """
    t = send_table.table
    v = _progress_rows(connection, progress)
    advances = rank_expression(v.c.state) > rank_expression(t.c.state)
    timestamps = {
        name: sa.func.coalesce(t.c[name], v.c[name])
        for name in ("sent_at", "delivered_at", "read_at", "failed_at")
    }
    found = send_table.update(
        connection,
        sa.update(t)
        .where(t.c.id == v.c.row_id, t.c.attempt >= v.c.attempt)
        .values(
            state=sa.case((advances, v.c.state), else_=t.c.state),
            wamid=sa.func.coalesce(t.c.wamid, v.c.wamid),
            accepted_at=sa.func.coalesce(t.c.accepted_at, v.c.sent_at, db_now()),
            error_code=sa.func.coalesce(v.c.error_code, t.c.error_code),
            error_detail=sa.func.coalesce(v.c.error_detail, t.c.error_detail),
            **timestamps,
        ),
    )
    return {row.id: row.wamid for row in found}


def _progress_rows(connection: sa.Connection, progress: Sequence[RowProgress]) -> sa.Subquery:
    rows = [
        (
            e.row_id,
            e.attempt or 0,
            sanitize_text(e.wamid),
            e.state,
            timestamp_text(e.sent_at),
            timestamp_text(e.delivered_at),
            timestamp_text(e.read_at),
            timestamp_text(e.failed_at),
            e.error_code,
            sanitize_text(e.error_detail, 500),
        )
        for e in progress
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
