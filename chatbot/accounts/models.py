"""Tables of users, their sign-ins, one-time links and the audit log."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from chatbot.core import clock
from chatbot.core.db import Base, BigId, UtcDateTime

USERS_CACHE_TAG = "users"  # values that show users or depend on their roles


class Role(StrEnum):
    AGENT = "agent"
    MANAGER = "manager"
    ADMIN = "admin"


class User(Base):
    """User of the panel; never a contact."""

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    email: Mapped[str] = mapped_column(sa.String(254), unique=True)
    name: Mapped[str] = mapped_column(sa.String(200))
    password_hash: Mapped[str | None] = mapped_column(sa.String(200))
    role: Mapped[str] = mapped_column(sa.String(10), default=Role.AGENT)
    is_active: Mapped[bool] = mapped_column(default=True)
    # Incremented by sign-out everywhere and a new password; older sessions are invalid.
    session_epoch: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=clock.now)

    # Required by Flask-Login.
    is_authenticated = True
    is_anonymous = False

    def get_id(self) -> str:
        return f"{self.id}:{self.session_epoch}"

    def cache_tags(self) -> Iterable[str]:
        return (USERS_CACHE_TAG,)


class FailedSignIn(Base):
    """Failed attempt to sign in; `device` is the id of a device on which the user had signed in before."""

    __tablename__ = "failed_sign_ins"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    account: Mapped[str] = mapped_column(sa.String(254))
    # The rate-limit key of the address: an IPv4 address or the /64 of an IPv6 address.
    network: Mapped[str] = mapped_column(sa.String(50))
    device: Mapped[str | None] = mapped_column(sa.String(40))
    failed_at: Mapped[datetime] = mapped_column(UtcDateTime)

    __table_args__ = (
        sa.Index(None, "account", "failed_at"),
        sa.Index(None, "network", "failed_at"),
    )


class KnownNetwork(Base):
    """Network from which a user has signed in."""

    __tablename__ = "known_networks"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("users.id"))
    network: Mapped[str] = mapped_column(sa.String(50))
    seen_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)

    __table_args__ = (sa.UniqueConstraint("user_id", "network"),)


class PasswordLink(Base):
    """One-time link to choose a password. Only a hash of its token is stored."""

    __tablename__ = "password_links"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("users.id"), index=True)
    token_hash: Mapped[str] = mapped_column(sa.String(64), unique=True)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    # Also set when a newer link or closing the account revoked this one.
    used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class AuditEvent(Base):
    """Action on an account; append-only."""

    __tablename__ = "audit_events"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    user_id: Mapped[int | None] = mapped_column(sa.ForeignKey("users.id"), index=True)
    # The actor's e-mail at that time.
    actor: Mapped[str] = mapped_column(sa.String(254))
    action: Mapped[str] = mapped_column(sa.String(40))
    subject: Mapped[str] = mapped_column(sa.String(300), default="")
    happened_at: Mapped[datetime] = mapped_column(UtcDateTime, default=clock.now)
