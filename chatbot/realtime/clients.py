"""Users behind the WebSockets: identify them, check their roles and their sessions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from flask import Flask, session
from flask_login import current_user

from chatbot.accounts.models import Role, User
from chatbot.core.db import db, read_only
from chatbot.core.live_events import LiveEventKind
from chatbot.core.sessions import StoredSession, get_copy_id

ALL_ROLES = frozenset(Role)
MANAGER_ROLES = frozenset({Role.MANAGER, Role.ADMIN})

# The same access as the pages have: no events about what a user may not see.
ALLOWED_ROLES: dict[LiveEventKind, frozenset[Role]] = {
    LiveEventKind.CONVERSATION: ALL_ROLES,
    LiveEventKind.HEALTH: ALL_ROLES,
    LiveEventKind.CAMPAIGN: MANAGER_ROLES,
    LiveEventKind.IMPORT: MANAGER_ROLES,
}


@dataclass(frozen=True, slots=True)
class ConnectedClient:
    """A signed-in user on one device. `copy_id` names the session in SQL."""

    user_id: int
    epoch: int
    copy_id: str
    role: Role

    def may_receive(self, kind: LiveEventKind) -> bool:
        return self.role in ALLOWED_ROLES[kind]


def identify_client(app: Flask, environ: dict[str, Any]) -> ConnectedClient | None:
    """Return the client of a handshake by the session cookie, or None if they are not signed in.

    Raises:
        SQLAlchemyError: the database does not answer.
    """
    with read_only(), app.request_context(environ):
        if not current_user.is_authenticated:
            return None
        user_id, _, epoch = current_user.get_id().partition(":")
        return ConnectedClient(
            int(user_id), int(epoch), get_copy_id(session), Role(current_user.role)
        )


def find_signed_out(app: Flask, clients: Iterable[ConnectedClient]) -> set[ConnectedClient]:
    """Return clients whose session has ended, account was closed or role has changed.

    Takes two statements, whatever the number of clients. Raises SQLAlchemyError.
    """
    wanted = set(clients)
    users = sa.select(User.id, User.session_epoch, User.role).where(
        User.id.in_({client.user_id for client in wanted}), User.is_active
    )
    ended = sa.select(StoredSession.id).where(
        StoredSession.id.in_({client.copy_id for client in wanted}),
        StoredSession.ended_at.is_not(None),
    )
    with read_only(), app.app_context(), db.engine.connect() as connection:
        current = {tuple(row) for row in connection.execute(users)}
        ended_ids = set(connection.scalars(ended))
    return {
        client
        for client in wanted
        if (client.user_id, client.epoch, client.role.value) not in current
        or client.copy_id in ended_ids
    }
