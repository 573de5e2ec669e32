"""Panel sessions: Flask-Session in Redis, with a copy in SQL.

The copy is written when a session changes and read when Redis has no answer, so an outage signs
nobody out. While Redis is away a session that is found nowhere keeps its id and its cookie: it may be
there again in a minute. Values are MessagePack and nothing else (Flask-Session would unpickle).
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
from flask_session.base import ServerSideSession
from flask_session.redis import RedisSessionInterface
from redis.exceptions import RedisError
from sqlalchemy.orm import Mapped, mapped_column

from chatbot.core import clock
from chatbot.core.after_commit import run_redis_commands
from chatbot.core.cache import bump_tag_version
from chatbot.core.db import Base, UtcDateTime, db, read_only, upsert
from chatbot.core.redis import key

USER_KEY = "_user_id"  # where Flask-Login keeps who is signed in
ANONYMOUS_LIFETIME = timedelta(hours=2)
STATELESS_PATHS = ("/health", "/metrics", "/static/", "/bootstrap/", "/webhooks/", "/cache/stats")


class StoredSession(Base):
    """The SQL copy of one signed-in session; its id is a hash, so that a dump signs nobody in."""

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
        """None for whatever is not a session of ours."""
        try:
            return msgspec.msgpack.decode(raw, type=dict[str, Any])
        except (msgspec.MsgspecError, ValueError):
            return None


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
        return session

    def _open(self, cookie: str | None) -> ServerSideSession:
        """One round trip, in which the companions are read too."""
        saved, answers = self._read(self._get_store_id(cookie)) if cookie else (None, None)
        if saved is not None:
            session = self.session_class(saved, sid=cookie)
        else:
            may_come_back = cookie and self.client.connection_pool.breaker.is_open
            sid = cookie if may_come_back else self._generate_sid(self.sid_length)
            session = self.session_class(sid=sid, permanent=self.permanent)
        session.prefetched = answers
        return session

    def save_session(self, app: Flask, session: ServerSideSession, response: Any) -> None:
        if not session.sid:
            return
        has_user_changed = _get_user_id(session) != session.initial_user_id
        if has_user_changed or session.modified:
            # What the door has not committed is dropped: left open it would hold SQLite's one write
            # lock, and the session's copy would wait for it in vain.
            db.session.rollback()
        if has_user_changed:
            # Who signs in or out gets a new id: the old one, which others may know, is worth nothing.
            self._delete_session(self._get_store_id(session.sid))
            session.sid = self._generate_sid(self.sid_length)
            session.modified = True
        super().save_session(app, session, response)

    def _get_store_id(self, sid: str) -> str:
        return str(self.key_prefix) + hashlib.sha256(sid.encode()).hexdigest()

    def _read(self, store_id: str) -> tuple[dict[str, Any] | None, Any]:
        """The session's content, and what stands in the keys of its companions (None: not asked)."""
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
        """From the copy, which also says whether the session was ended; put back into Redis, so that
        the next request need not ask SQL."""
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
        # A session without a user holds the token of a form that somebody is filling in.
        stored_lifetime = lifetime if user_id is not None else min(lifetime, ANONYMOUS_LIFETIME)
        if not _write_copy(store_id, str(user_id or ""), raw, stored_lifetime):
            return  # ended meanwhile by another request: it must not come back
        with suppress(RedisError):
            self.client.set(store_id, raw, ex=int(lifetime.total_seconds()))


def get_copy_id(session: Any) -> str:
    """The id of a session's copy in SQL."""
    return hashlib.sha256((getattr(session, "sid", "") or "").encode()).hexdigest()


def get_prefetched(session: Any) -> Any:
    """What stood in the companions' keys when the session was read; None when it was not asked."""
    return getattr(session, "prefetched", None)


def session_cache_tag(copy_id: str) -> str:
    """What is cached of a session is stale when the session is ended."""
    return f"session:{copy_id}"


def _copy_id(store_id: str) -> str:
    return store_id.rpartition(":")[2]


def _read_copy(copy_id: str) -> Any:
    """Its `data` and `expires_at`; None when there is none that holds."""
    query = sa.select(StoredSession.data, StoredSession.expires_at).where(
        StoredSession.id == copy_id,
        StoredSession.ended_at.is_(None),
        StoredSession.expires_at > clock.now(),
    )
    with read_only(), db.engine.connect() as connection:
        return connection.execute(query).one_or_none()


def _get_user_id(session: ServerSideSession) -> Any:
    """Asked of the dict, since a session that was not looked into needs no `Vary: Cookie`."""
    return dict.get(session, USER_KEY)


def _write_copy(store_id: str, user_id: str, raw: bytes, lifetime: timedelta) -> bool:
    """False for a session that was ended: nothing is written then."""
    values = {"user_id": user_id, "data": raw, "expires_at": clock.now() + lifetime}
    with db.engine.begin() as connection:
        statement = (
            upsert(connection, StoredSession)
            .values(id=_copy_id(store_id), **values)
            .on_conflict_do_update(
                index_elements=["id"], set_=values, where=StoredSession.ended_at.is_(None)
            )
            # Asked for, since the count of an INSERT's rows is not to be had from psycopg.
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
    """Delete from Redis what an outage has left there: its old values must not come back.

    Sessions written since a Unix time are newer in SQL. Those that were ended are forgotten however
    long ago that was: the process that ended one may itself have ended before Redis came back.
    """
    written_after = clock.from_unix(since) - timedelta(minutes=1) + lifetime
    query = sa.select(StoredSession.id).where(
        sa.or_(StoredSession.ended_at.is_not(None), StoredSession.expires_at > written_after)
    )
    with read_only(), engine.connect() as connection:
        ids = connection.scalars(query).all()
    for start in range(0, len(ids), 1000):
        client.unlink(*(key("session", copy_id) for copy_id in ids[start : start + 1000]))
