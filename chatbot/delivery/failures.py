"""A failure of a row, and the hooks by which a ledger says what follows from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import sqlalchemy as sa


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryFailure:
    """The provider's word that a row's message was not delivered, by an answer or by a status."""

    row_id: int
    code: int
    detail: str
    happened_at: datetime


class SideEffects(Protocol):
    """What follows for the ledger's people, campaigns and channel: two hooks, for many rows at once."""

    def on_failed(self, connection: sa.Connection, failures: Sequence[DeliveryFailure]) -> None: ...

    def on_reached(self, connection: sa.Connection, row_ids: Sequence[int]) -> None: ...
