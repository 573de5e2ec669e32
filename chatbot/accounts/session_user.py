"""Signed-in user of a request, cached for at most a minute.

None is cached for a session that has ended. Changes of a user's row and the end of a session invalidate
the value at once (`User.cache_tags`, `core.sessions`). It is read in the round trip that reads the session.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import sqlalchemy as sa
from flask import session

from chatbot.accounts.models import USERS_CACHE_TAG, User
from chatbot.core.cache import CacheEntry, CacheSpec
from chatbot.core.cache.store import list_redis_keys
from chatbot.core.db import db
from chatbot.core.sessions import (
    StoredSession,
    get_copy_id,
    get_prefetched,
    session_cache_tag,
)
from chatbot.extensions import cache


@dataclass(frozen=True, slots=True)
class SessionUser:
    """Read-only copy of the user's row for a request."""

    id: int
    email: str
    name: str
    role: str
    session_epoch: int

    # Required by Flask-Login; a user with a closed account is not signed in at all.
    is_authenticated: ClassVar[bool] = True
    is_active: ClassVar[bool] = True
    is_anonymous: ClassVar[bool] = False

    def get_id(self) -> str:
        return f"{self.id}:{self.session_epoch}"


Actor = User | SessionUser  # the user in an audit event

SESSION_USER_CACHE: CacheSpec[SessionUser | None] = CacheSpec(
    "user", SessionUser | None, fresh_s=50, stale_s=10
)


def session_user_cache_entry(user_key: str, copy_id: str) -> CacheEntry[SessionUser | None]:
    """Return the cache entry of a session's user.

    The value is None if the session has ended or has an older epoch, or the account is closed.
    `user_key` is `id:epoch` from the session, `copy_id` the id of the session's row in SQL. A session
    gets a new id whenever its user changes, so the id alone is the entry's key.
    """
    compute = partial(find_session_user, user_key, copy_id)
    return CacheEntry(
        SESSION_USER_CACHE, copy_id, compute, (USERS_CACHE_TAG, session_cache_tag(copy_id))
    )


def find_session_user(user_key: str, copy_id: str) -> SessionUser | None:
    user_id, _, epoch = user_key.partition(":")
    if not user_id.isdecimal() or not epoch.isdecimal():
        return None
    was_ended = sa.exists().where(StoredSession.id == copy_id, StoredSession.ended_at.is_not(None))
    row = db.session.execute(
        sa.select(User.id, User.email, User.name, User.role, User.session_epoch).where(
            User.id == int(user_id), User.session_epoch == int(epoch), User.is_active, ~was_ended
        )
    ).one_or_none()
    return None if row is None else SessionUser(*row)


def load_user(user_key: str) -> SessionUser | None:
    """Return the user of the session for Flask-Login.

    The cached user was read together with the session, so this takes no round trip, and SQL only
    after an invalidation.
    """
    entry = session_user_cache_entry(user_key, get_copy_id(session))
    found = cache.resolve_prefetched(entry, get_prefetched(session))
    return found if found is not None and found.get_id() == user_key else None


def list_prefetched_keys(copy_id: str) -> list[str]:
    """Return the Redis keys that are read together with the session of this copy id."""
    return list_redis_keys([session_user_cache_entry("", copy_id).cache_keys])
