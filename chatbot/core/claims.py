"""Claiming of rows so that a row which kills its worker does not affect the rows claimed with it."""

from __future__ import annotations

from collections.abc import Iterable


def isolate_suspect(rows: Iterable[tuple[int, int]], max_attempts: int = 0) -> list[int]:
    """Return the ids to claim, of rows (id, attempts so far) in their order.

    A row with more than `max_attempts` attempts is claimed alone: the rows before it are claimed first,
    and those after it wait for the next claim.
    """
    ids: list[int] = []
    for row_id, attempts in rows:
        if attempts > max_attempts:
            return ids or [row_id]
        ids.append(row_id)
    return ids
