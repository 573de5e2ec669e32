"""What a sender sends, and where it gets it from: a ledger of replies, of a campaign, of a test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec
import sqlalchemy as sa

from chatbot.channels.whatsapp.errors import ErrorPolicy
from chatbot.delivery.send_table import SendTable


class OutboundMessage(msgspec.Struct, frozen=True):
    """One row claimed under `token`, ready to be sent; `error` says why it can't be. `quota_contact_id`: the
    person's number among the day's people, None where Meta doesn't count them."""

    row_id: int
    attempt: int
    token: str
    to: str
    body: Mapping[str, Any] | None
    error: str | None = None
    quota_contact_id: int | None = None


RecipientQueue = Sequence[OutboundMessage]  # parcels for one person, to be sent one after the other


class SendSource(Protocol):
    """Where a sender's work comes from. All methods are called in a thread and do their own commit."""

    send_table: SendTable
    is_reply: bool

    def claim(self, token: str, limit: int, lease_s: float) -> int:
        """Claim up to `limit` rows under `token` for `lease_s` seconds; returns how many."""
        ...

    def load(self, token: str) -> list[RecipientQueue]:
        """The rows claimed under `token`, rendered."""
        ...

    def save_wa_ids(self, connection: sa.Connection, wa_ids: Mapping[int, str]) -> None:
        """What the provider calls the recipients of these rows, where that is news."""
        ...

    def halt(self, policy: ErrorPolicy, code: int, detail: str, row_id: int) -> None:
        """Stop what this error makes pointless."""
        ...
