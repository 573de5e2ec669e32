"""A row that kills its worker must not be counted against those that were claimed with it."""

from __future__ import annotations

from collections.abc import Iterable


def isolate_suspect(rows: Iterable[tuple[int, int]], max_attempts: int = 0) -> list[int]:
    """The ids to claim, of (id, attempts so far) in their order.

    One that was tried more than `harmless` times is claimed alone: what comes before it goes first,
    and what comes after it waits for the next claim.
    """
    ids: list[int] = []
    for row_id, attempts in rows:
        if attempts > max_attempts:
            return ids or [row_id]
        ids.append(row_id)
    return ids
