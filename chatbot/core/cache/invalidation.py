"""Invalidate cached values when a row is written, so that no write can forget to do it.

A model with a method `cache_tags()` names the cache tags that a change of the row invalidates, or the
deltas by which cached values can be brought up to date. Both leave after the commit, in the same round
trip as the tasks that are enqueued. The method is called before the flush, while `sqlalchemy.inspect`
still knows the old values. A statement that bypasses the ORM calls `core.cache.invalidate` in its session,
or `invalidate_with` on its connection.
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

from chatbot.core.after_commit import queue_redis_after_commit
from chatbot.core.cache.tags import append_delta, bump_tag_version, invalidate_now


class CacheDelta(NamedTuple):
    """Change of one row that cached values of a tag can be updated with."""

    cache_tag: str
    row_id: object
    delta: bytes


@runtime_checkable
class HasCacheTags(Protocol):
    def cache_tags(self) -> Iterable[str | CacheDelta]:
        """Return the tags that the row's pending change invalidates, and the deltas it appends."""


_CACHE_TAGS = "prosa_cache_tags"


def init_invalidation(factory: sessionmaker[Session], engine: sa.Engine) -> None:
    event.listen(factory, "before_flush", _collect_changes)
    event.listen(engine, "rollback", lambda connection: connection.info.pop(_CACHE_TAGS, None))
    # A connection returns to its pool right after the commit.
    event.listen(engine, "checkin", _invalidate_collected)


def invalidate_with(connection: sa.Connection, *cache_tags: str) -> None:
    """Invalidate the tags after this connection has committed."""
    connection.info.setdefault(_CACHE_TAGS, set()).update(cache_tags)


def _invalidate_collected(_connection: object, record: ConnectionPoolEntry) -> None:
    cache_tags = record.info.pop(_CACHE_TAGS, None)
    if cache_tags:
        invalidate_now(*cache_tags)


def _collect_changes(session: Session, _context: object, _rows: object) -> None:
    for row in chain(session.new, session.dirty, session.deleted):
        if isinstance(row, HasCacheTags) and (row not in session.dirty or session.is_modified(row)):
            for change in row.cache_tags():
                _queue_invalidation(session, change)


def _queue_invalidation(session: Session, change: str | CacheDelta) -> None:
    if isinstance(change, CacheDelta) and session.in_nested_transaction():
        # A savepoint may be rolled back: its delta may be wrong, an invalidation never is.
        change = change.cache_tag
    if isinstance(change, CacheDelta):
        command = partial(append_delta, cache_tag=change.cache_tag, delta=change.delta)
        queue_redis_after_commit(session, command, key=("delta", change.cache_tag, change.row_id))
    else:
        queue_redis_after_commit(
            session, partial(bump_tag_version, cache_tag=change), key=("invalidate", change)
        )


def has_changed(row: Any, *names: str) -> bool:
    """Return whether a pending change alters one of the columns; in a new or deleted row all are."""
    state = sa.inspect(row)
    if state.session is not None and row in state.session.deleted:
        return True
    return any(state.attrs[name].history.has_changes() for name in names)


def old_and_new_values(row: Any, name: str) -> set[Any]:
    """Return the values of a column before and after the pending change."""
    history = sa.inspect(row).attrs[name].history
    return {*history.added, *history.deleted, *history.unchanged}
