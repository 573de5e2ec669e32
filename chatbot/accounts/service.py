"""Sign-in, its limit on failures, and new users and passwords."""

from __future__ import annotations

import re
from datetime import timedelta

import sqlalchemy as sa

from chatbot.accounts.audit import AuditAction, record_audit_event
from chatbot.accounts.models import FailedSignIn, Role, User
from chatbot.accounts.passwords import hash_password, verify_password
from chatbot.core import clock
from chatbot.core.db import advisory_lock, db, read_only, sanitize_text
from chatbot.core.errors import AppError, Conflict, InvalidInput
from chatbot.core.i18n import N_

MAX_FAILURES = 5
FAILURE_WINDOW = timedelta(minutes=15)

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")


class TooManyFailures(AppError):
    """Raised after too many failed sign-ins; `retry_after_s` is the time to wait in seconds."""

    status = 429

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(
            N_("Too many failed attempts. Try again in %(minutes)s min."),
            minutes=max(1, -(-retry_after_s // 60)),
        )
        self.retry_after_s = retry_after_s


def sign_in(email: str, password: str, address: str) -> User | None:
    """Return the user, or None if e-mail or password is wrong.

    Each failure counts against the account and the address; after 5 in 15 minutes attempts are refused.
    Failures are counted in SQL under a lock per subject, so the limit is exact across processes and
    during Redis outages. The password is verified before the lock, because hashing is slow and would
    block other writers of SQLite.

    Raises:
        TooManyFailures: the account or address has reached the limit.
        HashingBusy: too many passwords are being checked.
    """
    subjects = [f"account:{_normalize_email(email)}"[:300], f"address:{address}"[:300]]
    session = db.session
    with read_only():
        _check_failures(subjects)
        stored = _get_active_password_hash(find_user(email))
    session.rollback()
    is_correct = verify_password(stored, password)
    for subject in sorted(subjects):
        advisory_lock(session.connection(), f"accounts.sign_in:{subject}")
    _check_failures(subjects)
    user = find_user(email)
    if is_correct and user is not None and _get_active_password_hash(user) == stored:
        record_audit_event(user, AuditAction.SIGNED_IN)
        session.commit()
        return user
    now = clock.now()
    session.add_all(FailedSignIn(subject=subject, failed_at=now) for subject in subjects)
    session.commit()
    return None


def _check_failures(subjects: list[str]) -> None:
    since = clock.now() - FAILURE_WINDOW
    rows = db.session.execute(
        sa.select(sa.func.count(), sa.func.min(FailedSignIn.failed_at))
        .where(FailedSignIn.subject.in_(subjects), FailedSignIn.failed_at > since)
        .group_by(FailedSignIn.subject)
    ).all()
    waits = [first + FAILURE_WINDOW - clock.now() for count, first in rows if count >= MAX_FAILURES]
    if waits:
        db.session.rollback()
        raise TooManyFailures(max(1, round(max(waits).total_seconds())))


def _get_active_password_hash(user: User | None) -> str | None:
    return user.password_hash if user is not None and user.is_active else None


def _normalize_email(email: str) -> str:
    """Return the e-mail as it is stored and compared."""
    return (sanitize_text(email, 254) or "").strip().lower()


def find_user(email: str) -> User | None:
    return db.session.scalar(sa.select(User).where(User.email == _normalize_email(email)))


def create_user(email: str, name: str, role: Role, password: str | None) -> User:
    """Create a user. Raises InvalidInput or Conflict with the field."""
    email = _normalize_email(email)
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


def change_password(user: User, present: str, password: str, address: str) -> None:
    """Change the password. Raises InvalidInput with the field, or what `sign_in` raises."""
    if sign_in(user.email, present, address) is None:
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
