"""One-time links to choose a password, valid for 48 hours; only a hash is stored."""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta

import sqlalchemy as sa

from chatbot.accounts.audit import AuditAction, record_audit_event
from chatbot.accounts.models import PasswordLink, User
from chatbot.accounts.passwords import hash_password
from chatbot.accounts.service import set_password_hash
from chatbot.accounts.session_user import Actor
from chatbot.core import clock
from chatbot.core.db import db
from chatbot.core.errors import NotFound

LINK_LIFETIME = timedelta(hours=48)


def create_link(user: User, by: Actor) -> str:
    """Create a link's token for `user` and revoke the user's older links."""
    revoke_links(user)
    token = secrets.token_urlsafe(32)
    expires_at = clock.now() + LINK_LIFETIME
    db.session.add(PasswordLink(user_id=user.id, token_hash=_hash(token), expires_at=expires_at))
    record_audit_event(by, AuditAction.LINK_MADE, user.email)
    return token


def revoke_links(user: User) -> None:
    db.session.execute(
        sa.update(PasswordLink)
        .where(PasswordLink.user_id == user.id, PasswordLink.used_at.is_(None))
        .values(used_at=clock.now())
    )


def find_invited_user(token: str) -> User | None:
    """Return the user of a valid link, or None."""
    return db.session.scalar(
        sa.select(User)
        .join(PasswordLink, PasswordLink.user_id == User.id)
        .where(_is_valid(token), User.is_active)
    )


def choose_password(token: str, password: str) -> User:
    """Use the link. Raises InvalidInput for the password, NotFound for an invalid link.

    The conditional update lets only one of two concurrent requests use the link. The password is hashed
    first, so that no transaction, which on SQLite may hold the write lock, is open meanwhile.
    """
    db.session.rollback()
    password_hash = hash_password(password)
    user = find_invited_user(token)
    if user is not None:
        set_password_hash(user, password_hash)
        used = db.session.execute(
            sa.update(PasswordLink)
            .where(_is_valid(token))
            .values(used_at=clock.now())
            .execution_options(synchronize_session=False)
        )
        if used.rowcount == 1:  # type: ignore[attr-defined]
            record_audit_event(user, AuditAction.PASSWORD_CHOSEN, user.email)
            return user
    db.session.rollback()
    raise NotFound("This link has been used or has expired. Ask an administrator for a new one.")


def _is_valid(token: str) -> sa.ColumnElement[bool]:
    return sa.and_(
        PasswordLink.token_hash == _hash(token),
        PasswordLink.used_at.is_(None),
        PasswordLink.expires_at > clock.now(),
    )


def _hash(token: str) -> str:
    """Hash a token. Plain SHA-256 is enough, because a token has 256 random bits."""
    return hashlib.sha256(token.strip().encode("utf-8", "replace")).hexdigest()
