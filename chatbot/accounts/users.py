"""Administration of users: list, invite, change the role, close and reopen accounts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import sqlalchemy as sa
from flask import Flask, current_app

from chatbot.accounts.audit import AuditAction, record_audit_event
from chatbot.accounts.invitations import create_link, revoke_links
from chatbot.accounts.models import Role, User
from chatbot.accounts.service import create_user
from chatbot.accounts.session_user import Actor
from chatbot.core.db import advisory_lock, db
from chatbot.core.errors import Conflict, NotFound


def init_users(app: Flask, *, on_closed: Callable[[int], None]) -> None:
    """Call `on_closed` with the id of a user whose account is closed, in the same transaction."""
    app.extensions["prosa_on_user_closed"] = on_closed


def list_users() -> Sequence[User]:
    """Return all users, open accounts first."""
    query = sa.select(User).order_by(User.is_active.desc(), sa.func.lower(User.name), User.id)
    return db.session.scalars(query).all()


def get_user_for_update(user_id: int) -> User:
    """Load and lock a user. Raises NotFound."""
    # A lock that foreign keys don't conflict with; else inserts of audit events could deadlock.
    query = sa.select(User).where(User.id == user_id).with_for_update(key_share=True)
    user = db.session.scalar(query)
    if user is None:
        raise NotFound("This user does not exist.")
    return user


def invite_user(email: str, name: str, role: Role, by: Actor) -> tuple[User, str]:
    """Create a user without a password; return it and the token of their link to choose one."""
    user = create_user(email, name, role, None)
    record_audit_event(by, AuditAction.USER_CREATED, f"{user.email} ({role})")
    return user, create_link(user, by)


def change_role(user: User, role: Role, by: Actor) -> None:
    """Change the role. Raises Conflict if no administrator would be left."""
    if user.role == role:
        return
    if role != Role.ADMIN:
        _check_other_admin_exists(user)
    record_audit_event(by, AuditAction.ROLE_CHANGED, f"{user.email}: {user.role} → {role}")
    user.role = role


def close_user(user: User, by: Actor) -> None:
    """Close the account, end its sessions and let its conversations wait for somebody else.

    Raises Conflict for oneself and the last administrator.
    """
    if user.id == by.id:
        raise Conflict("You cannot close your own account: ask another administrator.")
    if not user.is_active:
        return
    _check_other_admin_exists(user)
    user.is_active = False
    user.session_epoch += 1
    revoke_links(user)
    record_audit_event(by, AuditAction.USER_CLOSED, user.email)
    db.session.flush()
    current_app.extensions["prosa_on_user_closed"](user.id)


def open_user(user: User, by: Actor) -> None:
    if not user.is_active:
        user.is_active = True
        record_audit_event(by, AuditAction.USER_OPENED, user.email)


def _check_other_admin_exists(user: User) -> None:
    """Raise Conflict for the last administrator, under a lock against concurrent demotions."""
    if user.role != Role.ADMIN or not user.is_active:
        return
    advisory_lock(db.session.connection(), "accounts.admins")
    others = sa.select(sa.func.count()).where(
        User.role == Role.ADMIN, User.is_active, User.id != user.id
    )
    if not db.session.scalar(others):
        raise Conflict("This is the last administrator: make someone else an administrator first.")
