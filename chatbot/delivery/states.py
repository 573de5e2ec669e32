"""Where a message stands on its way out, and the order in which it may move."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import sqlalchemy as sa


class MessageState(StrEnum):
    """`queued` and `sending` are ours, `accepted` is Meta's 200; the rest come by webhook, but for
    `skipped` (never sent, with a reason) and `unknown` (perhaps sent: no answer reached us)."""

    QUEUED = "queued"
    SKIPPED = "skipped"
    SENDING = "sending"
    UNKNOWN = "unknown"
    ACCEPTED = "accepted"
    SENT = "sent"
    FAILED = "failed"
    DELIVERED = "delivered"
    READ = "read"


# The ladder. A status lifts a row to its own rung or leaves it where it is, so the order in which
# statuses arrive does not matter. `failed` stands below `delivered`: Meta reports both orders, and
# what a device has received has not failed (whatsapp_cloud_api.md section 3).
STATE_ORDER = (
    MessageState.QUEUED,
    MessageState.SKIPPED,
    MessageState.SENDING,
    MessageState.UNKNOWN,
    MessageState.ACCEPTED,
    MessageState.SENT,
    MessageState.FAILED,
    MessageState.DELIVERED,
    MessageState.READ,
)
RANK = {state: rank for rank, state in enumerate(STATE_ORDER)}

# Not known yet to have left us or not.
IN_FLIGHT = (MessageState.SENDING, MessageState.UNKNOWN)

# Meta's word → the state it proves. Words that are not here change nothing.
STATE_BY_META_STATUS = {
    "sent": MessageState.SENT,
    "delivered": MessageState.DELIVERED,
    "read": MessageState.READ,
    "played": MessageState.READ,
    "failed": MessageState.FAILED,
}


def may_advance(present: MessageState, to: MessageState) -> bool:
    """Whether evidence of `to` lifts a row that stands at `present`."""
    return RANK[to] > RANK[present]


def rank_expression(column: Any) -> sa.Case[int]:
    """The rung of a state column, in SQL."""
    return sa.case({state.value: rank for state, rank in RANK.items()}, value=column, else_=-1)
