"""Labels of roles and of the audit log."""

from __future__ import annotations

import re

from flask_babel import LazyString
from flask_babel import lazy_gettext as _l

from chatbot.accounts.audit import AuditAction
from chatbot.accounts.models import AuditEvent, Role

ROLE_LABELS: dict[str, LazyString] = {
    Role.AGENT: _l("Agent"),
    Role.MANAGER: _l("Manager"),
    Role.ADMIN: _l("Administrator"),
}

AUDIT_ACTION_LABELS: dict[str, LazyString] = {
    AuditAction.SIGNED_IN: _l("signed in"),
    AuditAction.SIGNED_OUT_EVERYWHERE: _l("signed out on all devices"),
    AuditAction.PASSWORD_CHANGED: _l("changed their own password"),
    AuditAction.PASSWORD_CHOSEN: _l("chose a password with the link"),
    AuditAction.USER_CREATED: _l("created the user"),
    AuditAction.LINK_MADE: _l("created a one-time link for"),
    AuditAction.ROLE_CHANGED: _l("changed the role of"),
    AuditAction.USER_CLOSED: _l("closed the account of"),
    AuditAction.USER_OPENED: _l("opened the account of"),
}

# A subject ends in the role of a new user, or in the old and the new role: see `accounts.users`.
_ROLES = re.compile(r"(?:(?<=: )|(?<= \()|(?<=→ ))(" + "|".join(Role) + r")(?=\)?$| →)")


def describe_audit_event(event: AuditEvent) -> str:
    """Return who did what to whom, in the reader's language."""
    subject = "" if event.subject == event.actor else event.subject
    words = _ROLES.sub(lambda found: str(ROLE_LABELS[found[1]]), subject)
    action = AUDIT_ACTION_LABELS.get(event.action, event.action)
    return f"{event.actor} {action} {words}".rstrip()
