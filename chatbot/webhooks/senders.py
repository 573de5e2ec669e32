"""By which names a body calls a person, and what it says of who they are (sections 2.5 and 7.4)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from chatbot.contacts.service import Sender
from chatbot.webhooks.events import IdentityChanged, PreferenceChanged
from chatbot.webhooks.values import UnreadableUpdate, dicts, first_text, inner, moment, text


def number_of(value: Mapping[str, Any]) -> tuple[str, str]:
    """Which of our numbers it is about: phone_number_id, and the number as digits."""
    metadata = inner(value, "metadata")
    return text(metadata.get("phone_number_id"), 40), digits_of(metadata)


def digits_of(value: Mapping[str, Any]) -> str:
    shown = first_text(value, "display_phone_number", "phone_number")
    return "".join(c for c in shown if c in "0123456789")[:30]


def make_sender(
    phone: str = "", bsuid: str = "", parent: str = "", username: str = "", name: str = ""
) -> Sender:
    """Some systems put the user id where the phone belongs (section 2.5)."""
    if is_user_id(phone):
        phone, bsuid = "", bsuid or phone
    return Sender(
        wa_id=phone.strip().lstrip("+")[:80] or None,
        bsuid=bsuid[:160] or None,
        parent_bsuid=parent[:160] or None,
        username=username[:160] or None,
        name=name or None,
    )


def is_user_id(value: str) -> bool:
    """`BR.1502576394655843`, and not a phone number."""
    return value[:2].isalpha() and value[2:3] == "."


def read_user_id_updates(
    account: str, value: Mapping[str, Any], at: datetime
) -> Iterator[IdentityChanged]:
    """A field that Meta documented and withdrew; some systems send it (section 2.5)."""
    number, _ = number_of(value)
    for update in dicts(value.get("user_id_update")):
        ids = inner(update, "user_id")
        old = make_sender(phone=text(update.get("wa_id")), bsuid=text(ids.get("previous")))
        new = make_sender(bsuid=text(ids.get("current")))
        if old.proofs and new.proofs:
            yield IdentityChanged(number=number, account=account, old=old, new=new, happened_at=at)


def read_preference(
    account: str, value: Mapping[str, Any], preference: Mapping[str, Any], at: datetime
) -> PreferenceChanged | None:
    """None for what is not about marketing, or not a choice we know. Raises UnreadableUpdate."""
    wish = text(preference.get("value")).lower()
    category = text(preference.get("category")) or "marketing_messages"
    if category != "marketing_messages" or wish not in ("stop", "resume", "signup"):
        return None
    sender = make_sender(
        phone=text(preference.get("wa_id")),
        bsuid=text(preference.get("user_id")),
        parent=text(preference.get("parent_user_id")),
    )
    if not sender.identities:
        raise UnreadableUpdate("the preference says nothing of whose it is")
    return PreferenceChanged(
        number=number_of(value)[0],
        account=account,
        sender=sender,
        wants_marketing=wish != "stop",
        detail=text(preference.get("detail"), 300),
        happened_at=moment(preference.get("timestamp"), at),
    )
