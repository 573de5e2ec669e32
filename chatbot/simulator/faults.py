"""What goes wrong with one POST to /messages: by script, by magic number, else by chance."""

from collections import deque
from enum import StrEnum
from typing import NamedTuple

from chatbot.simulator.errors import KNOWN
from chatbot.simulator.fates import Draws
from chatbot.simulator.identity import fraction
from chatbot.simulator.settings import EXCLUSIVE_FAULTS, Settings

UNDELIVERABLE = 131026


class Fault(StrEnum):
    """How the request ends; those of `BEFORE_ACCEPT` end it before the message is accepted."""

    RESET_BEFORE = "reset_before_accept"
    GRAPH_500_BEFORE = "http_500_before"
    HTML_502_BEFORE = "html_502_before"
    PLAIN_429 = "http_429"
    HANG_BEFORE = "hang_before_accept"
    REFUSED = "refused"
    RESET_AFTER = "reset_after_accept"
    HTML_502_AFTER = "http_500_after"
    UNREADABLE_200 = "unreadable_200"
    HANG_AFTER = "hang_after_accept"


BEFORE_ACCEPT = frozenset(
    {
        Fault.RESET_BEFORE,
        Fault.GRAPH_500_BEFORE,
        Fault.HTML_502_BEFORE,
        Fault.PLAIN_429,
        Fault.HANG_BEFORE,
        Fault.REFUSED,
    }
)


class Fate(NamedTuple):
    """`code` is the error of a refusal, `failure` that of an accepted message; 0 is none."""

    fault: Fault | None = None
    code: int = 0
    failure: int = 0


FINE = Fate()
# Numbers with a fixed fate, by their last four digits (section 10.3).
MAGIC = {
    "0026": Fate(failure=131026),
    "0047": Fate(failure=131047),
    "0049": Fate(failure=131049),
    "0050": Fate(failure=131050),
    "0053": Fate(failure=131053),
    "0054": Fate(Fault.RESET_AFTER),
    "0056": Fate(Fault.REFUSED, 131056),
    "0429": Fate(Fault.PLAIN_429),
    "0500": Fate(Fault.GRAPH_500_BEFORE),
    "0502": Fate(Fault.HTML_502_BEFORE),
    "0504": Fate(Fault.HANG_AFTER),
}
MAGIC_HIDDEN = "0001"  # this person shows no phone number, only a user id


class Scripts:
    """Fates asked for by name, in order, for the next messages to one person."""

    def __init__(self) -> None:
        self._fates: dict[str, deque[Fate]] = {}

    def put(self, wa_id: str, names: list[str]) -> None:
        """`names` are faults, `ok`, an error code to refuse with, or `failed:<code>`."""
        self._fates[wa_id] = deque(parse_fate(name) for name in names)

    def take(self, wa_id: str) -> Fate | None:
        fates = self._fates.get(wa_id) if self._fates else None
        return fates.popleft() if fates else None


def parse_fate(name: str) -> Fate:
    """Raise ValueError for a name that means nothing."""
    kind, _, code = name.partition(":")
    if name == "ok":
        return FINE
    if name.isdecimal() and int(name) in KNOWN:
        return Fate(Fault.REFUSED, int(name))
    if kind == "failed" and code.isdecimal() and int(code) in KNOWN:
        return Fate(failure=int(code))
    if name in set(Fault) - {Fault.REFUSED}:
        return Fate(Fault(name))
    raise ValueError(f"`fates`: {name!r} is no fault, no known error code and not `failed:<code>`")


def choose_fate(settings: Settings, wa_id: str, draws: Draws, scripts: Scripts) -> Fate:
    scripted = scripts.take(wa_id)
    if scripted:
        return scripted
    if settings.magic_recipients and (magic := MAGIC.get(wa_id[-4:])):
        return magic
    fault = _by_share(settings, draws.fault)
    if fault is None and draws.refused < settings.refused:
        fault = Fault.REFUSED
    code = settings.refused_code if fault is Fault.REFUSED else 0
    return Fate(fault, code, _failure(settings, wa_id, draws))


def _by_share(settings: Settings, number: float) -> Fault | None:
    for name in EXCLUSIVE_FAULTS:
        share = getattr(settings, name)
        if number < share:
            return Fault(name)
        number -= share
    return None


def _failure(settings: Settings, wa_id: str, draws: Draws) -> int:
    """Who is not on WhatsApp never is; the other failures strike one message."""
    if settings.undeliverable and fraction(f"{settings.seed}:u:{wa_id}") < settings.undeliverable:
        return UNDELIVERABLE
    return settings.failed_code if draws.failed < settings.failed else 0
