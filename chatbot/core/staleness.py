"""Rows say by themselves what they make stale, so that no write can forget to.

A model with a method `makes_stale()` names the cache's topics that a change of the row ends, or tells the
news by which their values can follow it; both leave after the commit, in the trip that rings the bells. It
is asked before the flush, when `sqlalchemy.inspect` still knows the old values. A statement that passes
by the rows says what it makes stale where it stands: `core.cache.forget` in the session, `forget_with` on a
connection.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from itertools import chain
from typing import Any, NamedTuple, Protocol, runtime_checkable

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import ConnectionPoolEntry

from chatbot.core.cache import add_news, forget_now, set_mark
from chatbot.core.events import send_after_commit


class News(NamedTuple):
    """What changed in a topic's values about one row of it, `of`."""

    topic: str
    of: object
    content: bytes


@runtime_checkable
class MakesStale(Protocol):
    def makes_stale(self) -> Iterable[str | News]:
        """The topics that the present change of this row ends, or adds to."""


_TOPICS = "prosa_stale_topics"


def connect(factory: sessionmaker[Session], engine: sa.Engine) -> None:
    event.listen(factory, "before_flush", _collect)
    event.listen(engine, "rollback", lambda connection: connection.info.pop(_TOPICS, None))
    # A connection is given back to its pool as soon as it has committed.
    event.listen(engine, "checkin", _forget_topics)


def forget_with(connection: sa.Connection, *topics: str) -> None:
    """What depends on the topics is stale once this connection has committed."""
    connection.info.setdefault(_TOPICS, set()).update(topics)


def _forget_topics(_connection: object, record: ConnectionPoolEntry) -> None:
    topics = record.info.pop(_TOPICS, None)
    if topics:
        forget_now(*topics)


def _collect(session: Session, _context: object, _rows: object) -> None:
    for row in chain(session.new, session.dirty, session.deleted):
        if isinstance(row, MakesStale) and (row not in session.dirty or session.is_modified(row)):
            for change in row.makes_stale():
                _tell(session, change)


def _tell(session: Session, change: str | News) -> None:
    if isinstance(change, News) and session.in_nested_transaction():
        change = (
            change.topic
        )  # a savepoint's news may never become true; that it is stale is no harm
    if isinstance(change, News):
        tell = partial(add_news, topic=change.topic, news=change.content)
        send_after_commit(session, tell, key=("news", change.topic, change.of))
    else:
        send_after_commit(session, partial(set_mark, topic=change), key=("forget", change))


def has_changed(row: Any, *names: str) -> bool:
    """Whether one of the columns is about to get another value; of a new or deleted row, all are."""
    state = sa.inspect(row)
    if state.session is not None and row in state.session.deleted:
        return True
    return any(state.attrs[name].history.has_changes() for name in names)


def values_of(row: Any, name: str) -> set[Any]:
    """A column's value before the change and after it."""
    history = sa.inspect(row).attrs[name].history
    return {*history.added, *history.deleted, *history.unchanged}
