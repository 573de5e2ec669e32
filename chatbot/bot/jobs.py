"""The bot's batch in the inbound worker's loop."""

from __future__ import annotations

import logging

from chatbot.bot.turns import claim_due, put_off, seconds_to_next, take_turn
from chatbot.conversations.courtesy import show_read
from chatbot.core.db import db

log = logging.getLogger(__name__)

BATCH = 20
RETRY_S = 2.0
SOON_S = 0.2


def take_turns() -> float | None:
    """Answer what is due; see `core.queue.Bell` for the return value."""
    wait_s = seconds_to_next()
    if wait_s is None or wait_s > 0:
        return wait_s
    token, ids = claim_due(BATCH)
    show_read(ids, typing=True, only_bots=True)
    for conversation_id in ids:
        try:
            take_turn(conversation_id, token)
        except Exception:  # one bad turn must not stop the others: tried again, then handed over
            db.session.rollback()
            log.exception("turn of conversation %d failed", conversation_id)
            put_off(conversation_id, token, RETRY_S)
    # None to be had although one is due: another worker has it, or our clock is before the database's.
    return 0 if ids else SOON_S
