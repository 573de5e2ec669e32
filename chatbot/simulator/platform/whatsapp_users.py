"""The people on WhatsApp: number, user id, and whether their number is shown (section 2.5)."""

import msgspec

from chatbot.simulator.faults.outcomes import MAGIC_HIDDEN_SUFFIX
from chatbot.simulator.identifiers import (
    BSUID,
    canonical_wa_id,
    hash_fraction,
    make_user_id,
    normalize_number,
)
from chatbot.simulator.settings import Settings

NUMBER_VISIBLE_S = 30 * 86_400.0  # after a message to the number itself the number is shown again


class WhatsAppUser(msgspec.Struct):
    """`key` names the thread: the wa_id, or a user id of whom nothing else is known."""

    key: str
    wa_id: str
    user_id: str
    number_visible_until: float = 0.0
    is_unregistered: bool = False  # the number belongs to nobody on WhatsApp any more

    @property
    def username(self) -> str:
        return f"cliente.{self.key[-6:].lower()}"


class WhatsAppUsers:
    """Who somebody is follows from the number alone, so that every run meets the same people."""

    def __init__(self) -> None:
        self._by_key: dict[str, WhatsAppUser] = {}
        self._by_user_id: dict[str, WhatsAppUser] = {}

    def get_or_create(self, wa_id: str) -> WhatsAppUser:
        """The person with this canonical wa_id, or with this user id."""
        user = self._by_key.get(wa_id) or self._by_user_id.get(wa_id)
        if user is None:
            number = "" if BSUID.fullmatch(wa_id) else wa_id
            user = WhatsAppUser(wa_id, number, make_user_id(number) if number else wa_id)
            self._by_key[wa_id] = self._by_user_id[user.user_id] = user
        return user

    def get_by_number_or_id(self, text: str, settings: Settings) -> WhatsAppUser:
        """Whoever a number as dialled, or a user id, leads to."""
        if BSUID.fullmatch(text):
            return self.get_or_create(text)
        return self.get_or_create(
            canonical_wa_id(normalize_number(text), settings.ninth_digit_share)
        )

    def hides_number(self, user: WhatsAppUser, settings: Settings, now: float) -> bool:
        if not user.wa_id:
            return True
        if not (settings.hidden_share or settings.magic_recipients):
            return False
        chosen = hash_fraction(f"hidden:{user.key}") < settings.hidden_share
        magic = settings.magic_recipients and user.key.endswith(MAGIC_HIDDEN_SUFFIX)
        return (chosen or magic) and now >= user.number_visible_until

    def change_number(self, user: WhatsAppUser, wa_id: str) -> WhatsAppUser:
        """The same human under another number, and so under another user id."""
        user.is_unregistered = True
        other = self.get_or_create(wa_id)
        other.is_unregistered = False
        return other

    def change_user_id(self, user: WhatsAppUser) -> str:
        """A new user id for the same number; returns the one before."""
        before = user.user_id
        user.user_id = make_user_id(before)
        self._by_user_id[user.user_id] = user
        return before
