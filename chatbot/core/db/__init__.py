"""Database access: SQL is the only source of truth.

`base` has the extension and the base class, `types` the column types, `dialects` the SQL that differs by
database, `transactions` their modes, `engines` and `sqlite` the set-up. Statements over many rows are in
`bulk_sql` and `deletion`.
"""

from __future__ import annotations

from chatbot.core.db.base import Base, db
from chatbot.core.db.dialects import (
    advisory_lock,
    claimable_rows,
    db_now,
    index_where,
    is_busy,
    is_postgresql,
    skip_locked,
    upsert,
)
from chatbot.core.db.engines import configure_engine
from chatbot.core.db.transactions import (
    autocommit,
    mark_request_read_only,
    mark_request_writable,
    read_only,
    stop_waiting_to_write,
)
from chatbot.core.db.types import (
    BigId,
    EnumString,
    Json,
    UtcDateTime,
    sanitize_text,
    timestamp_text,
)

__all__ = [
    "Base",
    "BigId",
    "EnumString",
    "Json",
    "UtcDateTime",
    "advisory_lock",
    "autocommit",
    "claimable_rows",
    "configure_engine",
    "db",
    "db_now",
    "index_where",
    "is_busy",
    "is_postgresql",
    "mark_request_read_only",
    "mark_request_writable",
    "read_only",
    "sanitize_text",
    "skip_locked",
    "stop_waiting_to_write",
    "timestamp_text",
    "upsert",
]
