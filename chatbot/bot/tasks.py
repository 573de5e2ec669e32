"""Task that answers the conversations whose turn is due."""

from __future__ import annotations

import logging

from chatbot.bot.turn_claims import claim_due_turns, get_seconds_to_next_turn, postpone_turn
from chatbot.bot.turns import run_turn
from chatbot.conversations.read_receipts import send_read_receipts
from chatbot.core.db import db

log = logging.getLogger(__name__)

BATCH_SIZE = 20
RETRY_S = 2.0
RECHECK_S = 0.2


def run_turns() -> float | None:
    """Answer due turns; see `core.tasks.Task` for the return value."""
    wait_s = get_seconds_to_next_turn()
    if wait_s is None or wait_s > 0:
        return wait_s
    token, ids = claim_due_turns(BATCH_SIZE)
    send_read_receipts(ids, typing=True, only_bots=True)
    for conversation_id in ids:
        try:
            run_turn(conversation_id, token)
        except Exception:  # one bad turn must not stop the others: it is retried, then handed off
            db.session.rollback()
            log.exception("turn of conversation %d failed", conversation_id)
            postpone_turn(conversation_id, token, RETRY_S)
    # No turn claimed although one is due: another worker has it, or our clock is ahead of the database's.
    return 0 if ids else RECHECK_S
