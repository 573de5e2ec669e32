"""The bot's batch in the inbound worker's loop."""

from __future__ import annotations

import logging

from chatbot.bot.turns import claim_due_turns, get_seconds_to_next_turn, postpone_turn, run_turn
from chatbot.conversations.read_receipts import send_read_receipts
from chatbot.core.db import db

log = logging.getLogger(__name__)

BATCH_SIZE = 20
RETRY_S = 2.0
RECHECK_S = 0.2


def run_turns() -> float | None:
    """Answer what is due; see `core.tasks.Task` for the return value."""
    wait_s = get_seconds_to_next_turn()
    if wait_s is None or wait_s > 0:
        return wait_s
    token, ids = claim_due_turns(BATCH_SIZE)
    send_read_receipts(ids, typing=True, only_bots=True)
    for conversation_id in ids:
        try:
            run_turn(conversation_id, token)
        except Exception:  # one bad turn must not stop the others: tried again, then handed over
            db.session.rollback()
            log.exception("turn of conversation %d failed", conversation_id)
            postpone_turn(conversation_id, token, RETRY_S)
    # None to be had although one is due: another worker has it, or our clock is before the database's.
    return 0 if ids else RECHECK_S
