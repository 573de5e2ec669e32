"""Delete expired rows that belong to no feature: sessions, records of sign-ins and reports of dead processes.

Webhook bodies have their own task, `chatbot.webhooks.tasks.delete_expired`. Cache statistics live in Redis
and expire by themselves.
"""

from __future__ import annotations

from datetime import timedelta

from chatbot.accounts.models import FailedSignIn, KnownNetwork
from chatbot.accounts.sign_in_limits import KNOWN_FOR
from chatbot.core import clock
from chatbot.core.db import db
from chatbot.core.db.deletion import delete_in_batches
from chatbot.core.metrics import delete_dead_reports
from chatbot.core.sessions import StoredSession

FAILED_SIGN_IN_RETENTION = timedelta(days=1)


def list_due_deletions() -> list[tuple[()]]:
    return [()]


def delete_expired() -> None:
    now = clock.now()
    delete_in_batches(StoredSession, StoredSession.expires_at < now)
    delete_in_batches(FailedSignIn, FailedSignIn.failed_at < now - FAILED_SIGN_IN_RETENTION)
    delete_in_batches(KnownNetwork, KnownNetwork.seen_at < now - KNOWN_FOR)
    with db.engine.begin() as connection:
        delete_dead_reports(connection)
