"""Users of the panel, the failed sign-ins that limit guessing, one-time links, and who did what."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from chatbot.core import clock
from chatbot.core.db import Base, BigId, UtcDateTime

USERS_CACHE_TAG = "users"  # the cache's topic of whatever shows users, or asks what they may


class Role(StrEnum):
    AGENT = "agent"
    MANAGER = "manager"
    ADMIN = "admin"


class User(Base):
    """Someone who signs in to the panel; never a contact."""

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(sa.String(254), unique=True)
    name: Mapped[str] = mapped_column(sa.String(200))
    password_hash: Mapped[str | None] = mapped_column(sa.String(200))
    role: Mapped[str] = mapped_column(sa.String(10), default=Role.AGENT)
    is_active: Mapped[bool] = mapped_column(default=True)
    # Raised by sign-out everywhere and by a new password: sessions of an older epoch are void.
    session_epoch: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=clock.now)

    # What Flask-Login asks of a user.
    is_authenticated = True
    is_anonymous = False

    def get_id(self) -> str:
        return f"{self.id}:{self.session_epoch}"

    def cache_tags(self) -> Iterable[str]:
        return (USERS_CACHE_TAG,)


class FailedSignIn(Base):
    """One failed attempt; counted per account and per address, so exact through any outage."""

    __tablename__ = "failed_sign_ins"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    subject: Mapped[str] = mapped_column(sa.String(300))
    failed_at: Mapped[datetime] = mapped_column(UtcDateTime)

    __table_args__ = (sa.Index(None, "subject", "failed_at"),)


class PasswordLink(Base):
    """A link that lets a user choose a password, once. Its token is kept only as a hash."""

    __tablename__ = "password_links"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("users.id"), index=True)
    token_hash: Mapped[str] = mapped_column(sa.String(64), unique=True)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    # Also set when a newer link, or the end of the account, made this one void.
    used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class AuditEvent(Base):
    """Who did what to which account, and when; only ever added."""

    __tablename__ = "audit_events"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    user_id: Mapped[int | None] = mapped_column(sa.ForeignKey("users.id"), index=True)
    # The e-mail as it was then.
    actor: Mapped[str] = mapped_column(sa.String(254))
    action: Mapped[str] = mapped_column(sa.String(40))
    subject: Mapped[str] = mapped_column(sa.String(300), default="")
    happened_at: Mapped[datetime] = mapped_column(UtcDateTime, default=clock.now)
