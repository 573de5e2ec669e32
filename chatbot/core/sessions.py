"""Panel sessions: Flask-Session in Redis, with a copy in SQL.

The copy is written when a session changes and read when Redis has no answer, so an outage signs no one
out. While Redis is away, a session that is found nowhere keeps its id and cookie, since Redis may have it
again in a minute. Values are MessagePack, since Flask-Session's pickle could run code.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import msgspec
import redis
import sqlalchemy as sa
from flask import Flask, Request
from flask_session import Session
from flask_session.base import ServerSideSession
from flask_session.redis import RedisSessionInterface
from redis.exceptions import RedisError
from sqlalchemy.orm import Mapped, mapped_column

from chatbot.core import clock
from chatbot.core.after_commit import run_redis_commands
from chatbot.core.cache import bump_tag_version
from chatbot.core.db import Base, UtcDateTime, db, read_only, upsert
from chatbot.core.redis import key

USER_KEY = "_user_id"  # Flask-Login's key of the signed-in user
# A session without a user only holds the CSRF token of an open form, and any stranger can make many.
ANONYMOUS_LIFETIME = timedelta(hours=2)
STATELESS_PATHS = ("/health", "/metrics", "/static/", "/bootstrap/", "/webhooks/", "/cache/stats")


class StoredSession(Base):
    """SQL copy of a session. Its id is a hash, so that a database dump gives no one access."""

    __tablename__ = "stored_sessions"

    id: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    user_id: Mapped[str] = mapped_column(sa.String(40), index=True)
    data: Mapped[bytes]
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class MessagePackSerializer:
    def encode(self, session: Any) -> bytes:
        return msgspec.msgpack.encode(dict(session))

    def decode(self, raw: bytes) -> dict[str, Any] | None:
        """Return the session's content, or None if it is not a session of ours."""
        try:
            return msgspec.msgpack.decode(raw, type=dict[str, Any])
        except (msgspec.MsgspecError, ValueError):
            return None


class ResilientSession(Session):
    """Flask-Session with our interface: `init_app` is overridden since 0.8 accepts only its own types."""

    def init_app(
        self,
        app: Flask,
        client: Any = None,
        list_prefetched_keys: Callable[[str], list[str]] = lambda _copy_id: [],
    ) -> None:
        """Bind sessions to the application's Redis client.

        `list_prefetched_keys` returns the keys that are read together with a session, given its copy id.
        """
        app.session_interface = ResilientSessionInterface(app, client, list_prefetched_keys)


class ResilientSessionInterface(RedisSessionInterface):
    def __init__(
        self, app: Flask, client: Any, list_prefetched_keys: Callable[[str], list[str]]
    ) -> None:
        super().__init__(app, client=client, key_prefix=key("session") + ":", sid_length=32)
        self.serializer = MessagePackSerializer()
        self.list_prefetched_keys = list_prefetched_keys

    def open_session(self, app: Flask, request: Request) -> ServerSideSession:
        if request.path.startswith(STATELESS_PATHS):
            return self.session_class(sid="", permanent=False)
        session = self._open(request.cookies.get(app.config["SESSION_COOKIE_NAME"]))
        session.initial_user_id = _get_user_id(session)
        session.is_shown = request.method != "HEAD"
        return session

    def _open(self, cookie: str | None) -> ServerSideSession:
        """Read the session and the prefetched keys in one round trip."""
        saved, answers = self._read(self._get_store_id(cookie)) if cookie else (None, None)
        if saved is not None:
            session = self.session_class(saved, sid=cookie)
        else:
            may_come_back = cookie and self.client.connection_pool.breaker.is_open
            sid = cookie if may_come_back else self._generate_sid(self.sid_length)
            session = self.session_class(sid=sid, permanent=self.permanent)
        session.prefetched = answers
        return session

    def should_set_storage(self, app: Flask, session: ServerSideSession) -> bool:
        """Return whether something was written, for a page that is shown: HEAD has no form to send back."""
        is_shown = session.is_shown or _get_user_id(session) is not None
        return is_shown and bool(super().should_set_storage(app, session))

    def save_session(self, app: Flask, session: ServerSideSession, response: Any) -> None:
        if not session.sid:
            return
        has_user_changed = _get_user_id(session) != session.initial_user_id
        if has_user_changed or session.modified:
            # Drop what the view has not committed: an open transaction would hold SQLite's write lock,
            # for which the session's copy would wait in vain.
            db.session.rollback()
        if has_user_changed:
            # A sign-in or sign-out gets a new id, so that a fixated or stolen one is worthless.
            self._delete_session(self._get_store_id(session.sid))
            session.sid = self._generate_sid(self.sid_length)
            session.modified = True
        super().save_session(app, session, response)

    def _get_store_id(self, sid: str) -> str:
        return str(self.key_prefix) + hashlib.sha256(sid.encode()).hexdigest()

    def _read(self, store_id: str) -> tuple[dict[str, Any] | None, Any]:
        """Return the session's content and the values of the prefetched keys (None: not read)."""
        try:
            raw, *answers = self.client.mget(
                store_id, *self.list_prefetched_keys(_copy_id(store_id))
            )
        except RedisError:
            raw, answers = None, None
        found = self.serializer.decode(raw) if isinstance(raw, bytes) else None
        if found is None:
            found = self._restore_from_sql(store_id)
        return found, answers or None

    def _restore_from_sql(self, store_id: str) -> dict[str, Any] | None:
        """Return the content of the SQL copy, unless the session was ended; store it in Redis again."""
        copy = _read_copy(_copy_id(store_id))
        found = self.serializer.decode(copy.data) if copy else None
        if copy is not None and found is not None:
            ttl_s = int((copy.expires_at - clock.now()).total_seconds())
            with suppress(RedisError):
                self.client.set(store_id, copy.data, ex=max(1, ttl_s))
        return found

    def _delete_session(self, store_id: str) -> None:
        _end_copy(_copy_id(store_id))
        run_redis_commands(
            [
                lambda pipe: pipe.unlink(store_id),
                lambda pipe: bump_tag_version(pipe, session_cache_tag(_copy_id(store_id))),
            ]
        )

    def _upsert_session(
        self, lifetime: timedelta, session: ServerSideSession, store_id: str
    ) -> None:
        raw = self.serializer.encode(session)
        user_id = session.get(USER_KEY)
        if user_id is None:
            lifetime = min(lifetime, ANONYMOUS_LIFETIME)
        if not _write_copy(store_id, str(user_id or ""), raw, lifetime):
            return  # ended meanwhile by another request: do not restore it
        with suppress(RedisError):
            self.client.set(store_id, raw, ex=int(lifetime.total_seconds()))


def get_copy_id(session: Any) -> str:
    """Return the id of a session's copy in SQL."""
    return hashlib.sha256((getattr(session, "sid", "") or "").encode()).hexdigest()


def get_prefetched(session: Any) -> Any:
    """Return the values of the keys that were read with the session; None if they were not."""
    return getattr(session, "prefetched", None)


def session_cache_tag(copy_id: str) -> str:
    """Return the cache tag that the end of a session invalidates."""
    return f"session:{copy_id}"


def _copy_id(store_id: str) -> str:
    return store_id.rpartition(":")[2]


def _read_copy(copy_id: str) -> Any:
    """Return `data` and `expires_at` of a valid copy, else None."""
    query = sa.select(StoredSession.data, StoredSession.expires_at).where(
        StoredSession.id == copy_id,
        StoredSession.ended_at.is_(None),
        StoredSession.expires_at > clock.now(),
    )
    with read_only(), db.engine.connect() as connection:
        return connection.execute(query).one_or_none()


def _get_user_id(session: ServerSideSession) -> Any:
    """Read the user id without marking the session as accessed, which would add `Vary: Cookie`."""
    return dict.get(session, USER_KEY)


def _write_copy(store_id: str, user_id: str, raw: bytes, lifetime: timedelta) -> bool:
    """Write the copy, unless the session was ended; return whether it was written."""
    values = {"user_id": user_id, "data": raw, "expires_at": clock.now() + lifetime}
    with db.engine.begin() as connection:
        statement = (
            upsert(connection, StoredSession)
            .values(id=_copy_id(store_id), **values)
            .on_conflict_do_update(
                index_elements=["id"], set_=values, where=StoredSession.ended_at.is_(None)
            )
            # psycopg gives no reliable row count for an INSERT.
            .returning(StoredSession.id)
        )
        return connection.scalar(statement) is not None


def _end_copy(copy_id: str) -> None:
    with db.engine.begin() as connection:
        connection.execute(
            sa.update(StoredSession).where(StoredSession.id == copy_id).values(ended_at=clock.now())
        )


def delete_stale_sessions(
    engine: sa.Engine, client: redis.Redis, since: float, lifetime: timedelta
) -> None:
    """Delete sessions from Redis that changed during an outage, whose old values must not come back.

    Sessions written after `since` (Unix time) are newer in SQL. Ended sessions are deleted however long
    ago they ended: the process that ended one may have stopped before Redis came back.
    """
    written_after = clock.from_unix(since) - timedelta(minutes=1)
    is_newer_in_sql = StoredSession.expires_at > sa.case(
        (StoredSession.user_id == "", sa.literal(written_after + ANONYMOUS_LIFETIME, UtcDateTime)),
        else_=sa.literal(written_after + lifetime, UtcDateTime),
    )
    query = sa.select(StoredSession.id).where(
        sa.or_(StoredSession.ended_at.is_not(None), is_newer_in_sql)
    )
    with read_only(), engine.connect() as connection:
        ids = connection.scalars(query).all()
    for start in range(0, len(ids), 1000):
        client.unlink(*(key("session", copy_id) for copy_id in ids[start : start + 1000]))
