"""Parser of identities: our number, the sender's ids, changes of user ids, marketing preferences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from chatbot.contacts.service import SenderIdentity
from chatbot.webhooks.events import IdentityChanged, PreferenceChanged
from chatbot.webhooks.parsing.values import (
    UnreadableUpdate,
    first_text,
    get_object,
    iter_objects,
    parse_timestamp,
    to_text,
)


def parse_number(value: Mapping[str, Any]) -> tuple[str, str]:
    """Return the phone_number_id of our number, and the number as digits."""
    metadata = get_object(value, "metadata")
    return to_text(metadata.get("phone_number_id"), 40), parse_display_phone(metadata)


def parse_display_phone(value: Mapping[str, Any]) -> str:
    shown = first_text(value, "display_phone_number", "phone_number")
    return "".join(c for c in shown if c in "0123456789")[:30]


def build_sender(
    phone: str = "", bsuid: str = "", parent: str = "", username: str = "", name: str = ""
) -> SenderIdentity:
    """Build an identity. Some systems put the user id where the phone belongs."""
    if is_user_id(phone):
        phone, bsuid = "", bsuid or phone
    return SenderIdentity(
        wa_id=phone.strip().lstrip("+")[:80] or None,
        bsuid=bsuid[:160] or None,
        parent_bsuid=parent[:160] or None,
        username=username[:160] or None,
        name=name or None,
    )


def is_user_id(value: str) -> bool:
    """Return whether it is a user id like `BR.1502576394655843`, and not a phone number."""
    return value[:2].isalpha() and value[2:3] == "."


def parse_user_id_updates(
    account: str, value: Mapping[str, Any], at: datetime
) -> Iterator[IdentityChanged]:
    """Parse a field that Meta documented and later withdrew; some systems still send it."""
    number, _ = parse_number(value)
    for update in iter_objects(value.get("user_id_update")):
        ids = get_object(update, "user_id")
        old = build_sender(phone=to_text(update.get("wa_id")), bsuid=to_text(ids.get("previous")))
        new = build_sender(bsuid=to_text(ids.get("current")))
        if old.strong_identities and new.strong_identities:
            yield IdentityChanged(number=number, account=account, old=old, new=new, happened_at=at)


def parse_preference(
    account: str, value: Mapping[str, Any], preference: Mapping[str, Any], at: datetime
) -> PreferenceChanged | None:
    """Parse a preference; None if it is not about marketing or is an unknown choice.

    Raises:
        UnreadableUpdate: it does not name a person.
    """
    choice = to_text(preference.get("value")).lower()
    category = to_text(preference.get("category")) or "marketing_messages"
    if category != "marketing_messages" or choice not in ("stop", "resume", "signup"):
        return None
    sender = build_sender(
        phone=to_text(preference.get("wa_id")),
        bsuid=to_text(preference.get("user_id")),
        parent=to_text(preference.get("parent_user_id")),
    )
    if not sender.identities:
        raise UnreadableUpdate("the preference does not name a person")
    return PreferenceChanged(
        number=parse_number(value)[0],
        account=account,
        sender=sender,
        wants_marketing=choice != "stop",
        detail=to_text(preference.get("detail"), 300),
        happened_at=parse_timestamp(preference.get("timestamp"), at),
    )
