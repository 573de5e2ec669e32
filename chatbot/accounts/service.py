"""Sign-in, new users and new passwords."""

from __future__ import annotations

import re
from collections.abc import Callable

import sqlalchemy as sa

from chatbot.accounts.audit import AuditAction, record_audit_event
from chatbot.accounts.models import Role, User
from chatbot.accounts.passwords import hash_password, verify_password
from chatbot.accounts.sign_in_limits import Attempt
from chatbot.core.db import db, read_only, sanitize_text
from chatbot.core.errors import Conflict, InvalidInput

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")


def sign_in(
    email: str, password: str, network: str, get_device: Callable[[User | None], str | None]
) -> User | None:
    """Return the user, or None if e-mail or password is wrong.

    `get_device` returns the id of the device if the user has signed in on it before. Failures are counted
    under a lock, so the limits are exact across processes. The password is verified before the lock, because
    hashing is slow and would block other writers of SQLite.

    Raises:
        TooManyFailures: a limit of `sign_in_limits` is reached.
        HashingBusy: too many passwords are being checked.
    """
    session = db.session
    with read_only():
        user = find_user(email)
        attempt = Attempt(normalize_email(email), network, get_device(user))
        attempt.check()
        stored = _get_active_password_hash(user)
    session.rollback()
    is_correct = verify_password(stored, password)
    attempt.lock()
    attempt.check()
    user = find_user(email)
    if is_correct and user is not None and _get_active_password_hash(user) == stored:
        record_audit_event(user, AuditAction.SIGNED_IN)
        attempt.remember_network(user)
        session.commit()
        return user
    attempt.record_failure()
    session.commit()
    return None


def _get_active_password_hash(user: User | None) -> str | None:
    return user.password_hash if user is not None and user.is_active else None


def normalize_email(email: str) -> str:
    """Return the e-mail as it is stored and compared."""
    return (sanitize_text(email, 254) or "").strip().lower()


def find_user(email: str) -> User | None:
    return db.session.scalar(sa.select(User).where(User.email == normalize_email(email)))


def create_user(email: str, name: str, role: Role, password: str | None) -> User:
    """Create a user. Raises InvalidInput or Conflict with the field."""
    email = normalize_email(email)
    if not _EMAIL.fullmatch(email):
        raise InvalidInput("This is not an e-mail address.", field="email")
    name = (sanitize_text(name, 200) or "").strip() or email.partition("@")[0]
    user = User(email=email, name=name, role=role)
    if password is not None:
        set_password_hash(user, hash_password(password))
    try:
        with db.session.begin_nested():
            db.session.add(user)
    except sa.exc.IntegrityError:
        raise Conflict("A user with this e-mail already exists.", field="email") from None
    return user


def change_password(
    user: User, present: str, password: str, network: str, device: str | None
) -> None:
    """Change the password. Raises InvalidInput with the field, or what `sign_in` raises."""
    if sign_in(user.email, present, network, lambda _user: device) is None:
        raise InvalidInput("This is not your current password.", field="present")
    set_password_hash(user, hash_password(password))
    record_audit_event(user, AuditAction.PASSWORD_CHANGED)


def sign_out_everywhere(user: User) -> None:
    """Invalidate all sessions of the user, including the current one."""
    user.session_epoch += 1
    record_audit_event(user, AuditAction.SIGNED_OUT_EVERYWHERE)


def set_password_hash(user: User, password_hash: str) -> None:
    """Set the password, hashed by `hash_password`, and end all sessions."""
    user.password_hash = password_hash
    user.session_epoch = (user.session_epoch or 0) + 1
