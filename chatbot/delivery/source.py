"""What a sender sends, and where it gets it from: a ledger of replies, of a campaign, of a test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec
import sqlalchemy as sa

from chatbot.channels.whatsapp.errors import Reaction
from chatbot.delivery.ledger import Ledger


class Parcel(msgspec.Struct, frozen=True):
    """One row claimed under `token`, ready to be sent; `fault` says why it can't be. `counts_as`: the
    person's number among the day's people, None where Meta doesn't count them."""

    row_id: int
    attempt: int
    token: str
    to: str
    body: Mapping[str, Any] | None
    fault: str | None = None
    counts_as: int | None = None


Lane = Sequence[Parcel]  # parcels for one person, to be sent one after the other


class Source(Protocol):
    """Where a sender's work comes from. All methods are called in a thread and do their own commit."""

    ledger: Ledger
    is_reply: bool

    def claim(self, token: str, limit: int, lease_s: float) -> int:
        """Claim up to `limit` rows under `token` for `lease_s` seconds; returns how many."""
        ...

    def load(self, token: str) -> list[Lane]:
        """The rows claimed under `token`, rendered."""
        ...

    def learn(self, connection: sa.Connection, wa_ids: Mapping[int, str]) -> None:
        """What the provider calls the recipients of these rows, where that is news."""
        ...

    def halt(self, reaction: Reaction, code: int, detail: str, row_id: int) -> None:
        """Stop what this error makes pointless."""
        ...
