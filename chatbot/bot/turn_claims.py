"""Leases of the conversations whose turn is due, so that each is answered by one worker."""

from __future__ import annotations

import secrets

import sqlalchemy as sa

from chatbot.conversations.models import Conversation
from chatbot.core import clock
from chatbot.core.claims import isolate_suspect
from chatbot.core.db import db, db_now, read_only, skip_locked

LEASE_S = 30.0


def claim_due_turns(limit: int) -> tuple[str, list[int]]:
    """Lease the conversations whose turn is due, commit, and return the token and their ids."""
    token = secrets.token_hex(16)
    free = sa.or_(
        Conversation.turn_leased_until.is_(None), Conversation.turn_leased_until < db_now()
    )
    due = (
        sa.select(Conversation.id, Conversation.turn_attempts)
        .where(Conversation.turn_due_at <= db_now(), free)
        .order_by(Conversation.turn_due_at, Conversation.id)
        .limit(limit)
    )
    with db.engine.begin() as connection:
        ids = isolate_suspect(connection.execute(skip_locked(due, connection)).all())
        if not ids:
            return token, []
        taken = connection.execute(
            sa.update(Conversation)
            .where(Conversation.id.in_(ids), free)
            .values(
                turn_token=token,
                turn_leased_until=db_now(LEASE_S),
                turn_attempts=Conversation.turn_attempts + 1,
            )
            .returning(Conversation.id)
        )
        return token, list(taken.scalars())


def postpone_turn(conversation_id: int, token: str, seconds: float) -> None:
    """Let a lease end in `seconds` after an error, so that the contact waits less."""
    with db.engine.begin() as connection:
        connection.execute(
            sa.update(Conversation)
            .where(Conversation.id == conversation_id, Conversation.turn_token == token)
            .values(turn_leased_until=db_now(seconds))
        )


def get_seconds_to_next_turn() -> float | None:
    """Return the seconds until a turn is due (0: now), or None."""
    free = sa.or_(
        Conversation.turn_leased_until.is_(None), Conversation.turn_leased_until < db_now()
    )
    query = sa.select(sa.func.min(Conversation.turn_due_at)).where(
        Conversation.turn_due_at.is_not(None), free
    )
    with read_only(), db.engine.connect() as connection:
        due_at = connection.scalar(query)
    return None if due_at is None else max(0.0, (due_at - clock.now()).total_seconds())
