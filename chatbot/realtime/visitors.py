"""Who sits at the other end of a socket, what he may hear of, and whether he is still signed in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from flask import Flask, session
from flask_login import current_user

from chatbot.accounts.models import Role, User
from chatbot.core.db import db, reading
from chatbot.core.hints import Kind
from chatbot.core.session import StoredSession, copy_id_of

EVERYBODY = frozenset(Role)
MANAGERS = frozenset({Role.MANAGER, Role.ADMIN})

# The same line that the access policies of the pages draw: what one may not see, one doesn't hear of.
MAY_HEAR: dict[Kind, frozenset[Role]] = {
    Kind.CONVERSATION: EVERYBODY,
    Kind.HEALTH: EVERYBODY,
    Kind.CAMPAIGN: MANAGERS,
    Kind.IMPORT: MANAGERS,
}


@dataclass(frozen=True, slots=True)
class Visitor:
    """A signed-in user on one device. `copy_id` names the session in SQL."""

    user_id: int
    epoch: int
    copy_id: str
    role: Role

    def may_hear(self, kind: Kind) -> bool:
        return self.role in MAY_HEAR[kind]


def identify(app: Flask, environ: dict[str, Any]) -> Visitor | None:
    """The visitor of a handshake, by the session's cookie as on any page; None for a stranger.

    Raises:
        SQLAlchemyError: the database does not answer.
    """
    with reading(), app.request_context(environ):
        if not current_user.is_authenticated:
            return None
        user_id, _, epoch = current_user.get_id().partition(":")
        return Visitor(int(user_id), int(epoch), copy_id_of(session), Role(current_user.role))


def find_signed_out(app: Flask, visitors: Iterable[Visitor]) -> set[Visitor]:
    """Those whose session has ended, whose account was closed or who have another role now.

    Two statements, however many visitors. Raises SQLAlchemyError.
    """
    wanted = set(visitors)
    users = sa.select(User.id, User.session_epoch, User.role).where(
        User.id.in_({visitor.user_id for visitor in wanted}), User.is_active
    )
    ended = sa.select(StoredSession.id).where(
        StoredSession.id.in_({visitor.copy_id for visitor in wanted}),
        StoredSession.ended_at.is_not(None),
    )
    with reading(), app.app_context(), db.engine.connect() as connection:
        present = {tuple(row) for row in connection.execute(users)}
        gone = set(connection.scalars(ended))
    return {
        visitor
        for visitor in wanted
        if (visitor.user_id, visitor.epoch, visitor.role.value) not in present
        or visitor.copy_id in gone
    }
