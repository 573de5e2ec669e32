"""Webhook payloads in the shape of Meta's webhook reference."""

import re
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from functools import cache
from typing import TypeVar

import msgspec

from chatbot.simulator.errors import render_status_error

DISPLAY_PHONE_NUMBER = "551140001234"
UPDATES_PER_VALUE = 10
VALUES_PER_ENTRY = 2
T = TypeVar("T")
_NON_ASCII = re.compile(r"[^\x00-\x7f]")


class StatusName(StrEnum):
    SENT = "sent"
    DELIVERED = "delivered"
    READ = "read"
    FAILED = "failed"


class Pricing(msgspec.Struct):
    billable: bool
    pricing_model: str
    type: str
    category: str


class Status(msgspec.Struct, omit_defaults=True):
    """Item of `statuses[]`; `timestamp` is a string of Unix seconds."""

    id: str
    status: StatusName
    timestamp: str
    recipient_id: str = ""
    recipient_user_id: str = ""
    biz_opaque_callback_data: str = ""
    pricing: Pricing | None = None
    errors: list[dict[str, object]] = []


def make_status(
    name: StatusName, *, wamid: str, wa_id: str, user_id: str, at: float, callback: str,
    category: str, code: int,
) -> Status:  # fmt: skip
    """Return a status.

    `wa_id` or `user_id` is empty where Meta omits it, `category` where it omits `pricing`.
    `code` is the error of a failure, or 0.
    """
    return Status(
        id=wamid,
        status=name,
        timestamp=str(int(at)),
        recipient_id=wa_id,
        recipient_user_id=user_id,
        biz_opaque_callback_data=callback,
        pricing=_pricing(category) if category else None,
        errors=[render_status_error(code)] if code else [],
    )


@cache
def _pricing(category: str) -> Pricing:
    return Pricing(True, "PMP", "regular", category)


class PayloadRenderer:
    """Renderer of the payloads of one number of one account."""

    def __init__(self, business_account_id: str, phone_number_id: str) -> None:
        self.display_phone_number = DISPLAY_PHONE_NUMBER
        self._account_id = business_account_id
        self._base_value = {
            "messaging_product": "whatsapp",
            "metadata": {
                "display_phone_number": DISPLAY_PHONE_NUMBER,
                "phone_number_id": phone_number_id,
            },
        }

    def render_updates(
        self,
        statuses: Sequence[Status],
        usernames: Mapping[str, str],
        messages: Sequence[tuple[dict[str, object], dict[str, object]]] = (),
        *,
        failed_contacts: bool = True,
    ) -> bytes:
        """Return one payload with several entries and values, because Meta batches updates too.

        `usernames` maps user ids to usernames; `messages` are pairs of a message and its contact.
        """
        changes = [
            self._change(
                statuses=part,
                contacts=_render_contacts(part, usernames, with_failed=failed_contacts),
            )
            for part in _chunked(statuses, UPDATES_PER_VALUE)
        ]
        for part in _chunked(messages, UPDATES_PER_VALUE):
            contacts = [contact for _, contact in part if contact]
            changes.append(
                self._change(contacts=contacts, messages=[message for message, _ in part])
            )
        return self._encode(*_chunked(changes, VALUES_PER_ENTRY))

    def errors(self, code: int) -> bytes:
        """Return a payload with `value.errors[]`, for an error without a message or status."""
        return self._encode([self._change(errors=[render_status_error(code)])])

    def preference(self, contact: dict[str, object], preference: dict[str, object]) -> bytes:
        value = {**self._base_value, "contacts": [contact], "user_preferences": [preference]}
        return self._encode([{"field": "user_preferences", "value": value}])

    def render_field(self, field: str, value: Mapping[str, object], at: float) -> bytes:
        """Return the payload of a management field: `time` is an integer, `metadata` is absent."""
        change = {"field": field, "value": value}
        entry = {"id": self._account_id, "time": int(at), "changes": [change]}
        return encode_json({"object": "whatsapp_business_account", "entry": [entry]})

    def _change(self, **content: object) -> dict[str, object]:
        filled = {key: part for key, part in content.items() if part}
        return {"field": "messages", "value": {**self._base_value, **filled}}

    def _encode(self, *groups: Sequence[dict[str, object]]) -> bytes:
        entries = [{"id": self._account_id, "changes": changes} for changes in groups]
        return encode_json({"object": "whatsapp_business_account", "entry": entries})


def encode_json(body: object) -> bytes:
    r"""Encode JSON in ASCII with `\/`, so that a signature of re-serialised JSON does not match."""
    raw = msgspec.json.encode(body)
    if not raw.isascii():
        raw = _NON_ASCII.sub(lambda found: _escape(found[0]), raw.decode()).encode()
    return raw.replace(b"/", b"\\/")


def _escape(character: str) -> str:
    units = character.encode("utf-16-be")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))


def _render_contacts(
    statuses: Iterable[Status], usernames: Mapping[str, str], *, with_failed: bool
) -> list[dict[str, object]]:
    """Return the contacts of the statuses; only `delivered` and `read` have the username."""
    found: dict[str, dict[str, object]] = {}
    for status in statuses:
        has_failed = status.status is StatusName.FAILED
        if has_failed and not with_failed:
            continue
        user_id, wa_id = status.recipient_user_id, status.recipient_id
        contact = found.setdefault(user_id or wa_id, {})
        if wa_id:
            contact["wa_id"] = wa_id
        if user_id:
            contact["user_id"] = user_id
        if user_id in usernames and not has_failed and status.status is not StatusName.SENT:
            contact["profile"] = {"username": usernames[user_id]}
    return list(found.values())


def _chunked(items: Sequence[T], size: int) -> list[Sequence[T]]:
    return [items[start : start + size] for start in range(0, len(items), size)]
