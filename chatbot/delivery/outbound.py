"""Outbound messages, the source a sender takes them from, and the callback id that Meta echoes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec
import sqlalchemy as sa

from chatbot.channels.whatsapp.errors import ErrorPolicy
from chatbot.delivery.send_table import SendTable

_CALLBACK_ID = re.compile(r"([mr]):([0-9]{1,18}):([0-9]{1,9}):([0-9a-f]{1,20})")


@dataclass(frozen=True, slots=True)
class CallbackId:
    """Key of an attempt that Meta echoes in every status (`biz_opaque_callback_data`, 512 characters).

    It takes the place of an idempotency key, which Meta does not have. `installation` says whose row it
    is, since another Prosa may send on the same account.
    """

    send_table: str
    row_id: int
    attempt: int
    installation: str = ""

    def __str__(self) -> str:
        return f"{self.send_table}:{self.row_id}:{self.attempt}:{self.installation}"


def parse_callback_id(text: object) -> CallbackId | None:
    """Return None for a foreign id: another program may send on the same number."""
    match = _CALLBACK_ID.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        return None
    return CallbackId(match[1], int(match[2]), int(match[3]), match[4])


class OutboundMessage(msgspec.Struct, frozen=True):
    """One row claimed under `token`, ready to be sent.

    `error` says why it cannot be sent; `body` is None then. `quota_contact_id` is the contact's id in
    the portfolio's daily quota, None where Meta does not count the message.
    """

    row_id: int
    attempt: int
    token: str
    to: str
    body: Mapping[str, Any] | None
    error: str | None = None
    quota_contact_id: int | None = None


RecipientQueue = Sequence[OutboundMessage]  # messages to one person, to be sent one after the other


class SendSource(Protocol):
    """Source of a sender's messages. Its methods are called in a thread; `claim` and `halt` commit."""

    send_table: SendTable
    is_reply: bool

    def claim(self, token: str, limit: int, lease_s: float) -> int:
        """Claim up to `limit` rows under `token` for `lease_s` seconds; return how many."""
        ...

    def load(self, token: str) -> list[RecipientQueue]:
        """Return the rows claimed under `token`, rendered."""
        ...

    def save_wa_ids(self, connection: sa.Connection, wa_ids: Mapping[int, str]) -> None:
        """Store the WhatsApp ids that the provider returned for these rows' contacts."""
        ...

    def halt(self, policy: ErrorPolicy, code: int, detail: str, row_id: int) -> None:
        """Stop all sending that this error makes pointless."""
        ...
