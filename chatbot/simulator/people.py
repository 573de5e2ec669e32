"""The people on WhatsApp: number, user id, and whether their number is shown (section 2.5)."""

import msgspec

from chatbot.simulator.faults import MAGIC_HIDDEN
from chatbot.simulator.identity import (
    BSUID,
    canonical,
    fraction,
    make_user_id,
    normalise,
)
from chatbot.simulator.settings import Settings

REVEALED_S = 30 * 86_400.0  # after a message to the number itself the number is shown again


class Person(msgspec.Struct):
    """`key` names the thread: the wa_id, or a user id of whom nothing else is known."""

    key: str
    wa_id: str
    user_id: str
    revealed_until: float = 0.0
    has_left: bool = False  # the number belongs to nobody on WhatsApp any more

    @property
    def username(self) -> str:
        return f"cliente.{self.key[-6:].lower()}"


class People:
    """Who somebody is follows from the number alone, so that every run meets the same people."""

    def __init__(self) -> None:
        self._by_key: dict[str, Person] = {}
        self._by_user_id: dict[str, Person] = {}

    def of(self, wa_id: str) -> Person:
        """The person with this canonical wa_id, or with this user id."""
        person = self._by_key.get(wa_id) or self._by_user_id.get(wa_id)
        if person is None:
            number = "" if BSUID.fullmatch(wa_id) else wa_id
            person = Person(wa_id, number, make_user_id(number) if number else wa_id)
            self._by_key[wa_id] = self._by_user_id[person.user_id] = person
        return person

    def dialled(self, text: str, settings: Settings) -> Person:
        """Whoever a number as dialled, or a user id, leads to."""
        if BSUID.fullmatch(text):
            return self.of(text)
        return self.of(canonical(normalise(text), settings.ninth_digit_share))

    def hides_number(self, person: Person, settings: Settings, now: float) -> bool:
        if not person.wa_id:
            return True
        if not (settings.hidden_share or settings.magic_recipients):
            return False
        chosen = fraction(f"hidden:{person.key}") < settings.hidden_share
        magic = settings.magic_recipients and person.key.endswith(MAGIC_HIDDEN)
        return (chosen or magic) and now >= person.revealed_until

    def change_number(self, person: Person, wa_id: str) -> Person:
        """The same human under another number, and so under another user id."""
        person.has_left = True
        other = self.of(wa_id)
        other.has_left = False
        return other

    def change_user_id(self, person: Person) -> str:
        """A new user id for the same number; returns the one before."""
        before = person.user_id
        person.user_id = make_user_id(before)
        self._by_user_id[person.user_id] = person
        return before
