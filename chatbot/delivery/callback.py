"""The only key of ours that Meta echoes in every status: which ledger, which row, which attempt.

Meta has no idempotency key; `biz_opaque_callback_data` (at most 512 characters) takes its place.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_PATTERN = re.compile(r"([mr]):([0-9]{1,18}):([0-9]{1,9})")


@dataclass(frozen=True, slots=True)
class CallbackId:
    send_table: str
    row_id: int
    attempt: int

    def __str__(self) -> str:
        return f"{self.send_table}:{self.row_id}:{self.attempt}"


def parse_callback_id(text: object) -> CallbackId | None:
    """None for what is not one of ours: another program may send on the same number."""
    match = _PATTERN.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        return None
    return CallbackId(match[1], int(match[2]), int(match[3]))
