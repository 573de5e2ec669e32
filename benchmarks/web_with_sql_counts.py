"""Web process of `benchmarks.load`: Prosa's own with a count of the SQL statements.

`GET /health/sql` returns how often each statement was sent since the start, by part (panel, webhook
ingest, outside of requests) and route.
"""

from __future__ import annotations

from collections import Counter

from flask import has_request_context, request
from flask.typing import ResponseReturnValue
from sqlalchemy import event

from chatbot.core.db import db
from wsgi import app, asgi

__all__ = ["app", "asgi"]

StatementKey = tuple[str, str, str]  # part, route, statement

counts: Counter[StatementKey] = Counter()


def statement_key(statement: str) -> StatementKey:
    text = " ".join(statement.split())
    if not has_request_context():
        return "background", "", text
    part = "ingest" if request.path.startswith("/webhooks/") else "panel"
    return part, str(request.url_rule), text


def count_statement(_connection: object, _cursor: object, statement: str, *_: object) -> None:
    counts[statement_key(statement)] += 1


with app.app_context():
    event.listen(db.engine, "before_cursor_execute", count_statement)


@app.get("/health/sql")
def show_counts() -> ResponseReturnValue:
    return [[*place, number] for place, number in list(counts.items())]
