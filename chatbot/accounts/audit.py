"""Audit log of accounts."""

from __future__ import annotations

from enum import StrEnum

import sqlalchemy as sa

from chatbot.accounts.models import AuditEvent
from chatbot.accounts.session_user import Actor
from chatbot.core.db import db


class AuditAction(StrEnum):
    SIGNED_IN = "signed_in"
    SIGNED_OUT_EVERYWHERE = "signed_out_everywhere"
    PASSWORD_CHANGED = "password_changed"  # noqa: S105 - not a secret
    PASSWORD_CHOSEN = "password_chosen"  # noqa: S105
    USER_CREATED = "user_created"
    LINK_MADE = "link_made"
    ROLE_CHANGED = "role_changed"
    USER_CLOSED = "user_closed"
    USER_OPENED = "user_opened"


def record_audit_event(actor: Actor, action: AuditAction, subject: str = "") -> None:
    """Add an event in the transaction of the action, so that both are committed or neither."""
    db.session.add(
        AuditEvent(user_id=actor.id, actor=actor.email, action=action, subject=subject[:300])
    )


def list_audit_events(limit: int = 30) -> list[AuditEvent]:
    query = sa.select(AuditEvent).order_by(AuditEvent.id.desc()).limit(limit)
    return list(db.session.scalars(query))
