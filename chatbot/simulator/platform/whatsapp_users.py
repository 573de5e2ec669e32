"""Users of WhatsApp: number, business-scoped user id, and visibility of the number.

A user with a username hides the number. The business sees it again for 30 days after a message
to the number itself (Meta: business-scoped user IDs).
"""

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

NUMBER_VISIBLE_S = 30 * 86_400.0


class WhatsAppUser(msgspec.Struct):
    """User; `key` is the wa_id, or the user id if no number is known."""

    key: str
    wa_id: str
    user_id: str
    number_visible_until: float = 0.0
    is_unregistered: bool = False  # the number has no WhatsApp account any more

    @property
    def username(self) -> str:
        return f"cliente.{self.key[-6:].lower()}"


class WhatsAppUsers:
    """Users by number and id. The number alone decides everything, so that runs are repeatable."""

    def __init__(self) -> None:
        self._by_key: dict[str, WhatsAppUser] = {}
        self._by_user_id: dict[str, WhatsAppUser] = {}

    def get_or_create(self, wa_id: str) -> WhatsAppUser:
        """Return the user with this canonical wa_id or user id, new if unknown."""
        user = self._by_key.get(wa_id) or self._by_user_id.get(wa_id)
        if user is None:
            number = "" if BSUID.fullmatch(wa_id) else wa_id
            user = WhatsAppUser(wa_id, number, make_user_id(number) if number else wa_id)
            self._by_key[wa_id] = self._by_user_id[user.user_id] = user
        return user

    def get_by_number_or_id(self, text: str, settings: Settings) -> WhatsAppUser:
        """Return the user of a number in any spelling, or of a user id."""
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
        """Move a user to another number and return the user there, who has another user id."""
        user.is_unregistered = True
        other = self.get_or_create(wa_id)
        other.is_unregistered = False
        return other

    def change_user_id(self, user: WhatsAppUser) -> str:
        """Give the user a new user id and return the old one."""
        before = user.user_id
        user.user_id = make_user_id(before)
        self._by_user_id[user.user_id] = user
        return before
