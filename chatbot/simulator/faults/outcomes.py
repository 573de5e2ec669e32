"""Outcome of one POST to /messages: scripted, fixed by a magic number, or drawn at random."""

from collections import deque
from enum import StrEnum
from typing import NamedTuple

from chatbot.simulator.errors import ERROR_CODES
from chatbot.simulator.faults.random_draws import RandomDraws
from chatbot.simulator.identifiers import hash_fraction
from chatbot.simulator.settings import EXCLUSIVE_FAULTS, Settings

UNDELIVERABLE_CODE = 131026


class Fault(StrEnum):
    """Fault of a request; those in `FAULTS_BEFORE_ACCEPT` end it before acceptance."""

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


FAULTS_BEFORE_ACCEPT = frozenset(
    {
        Fault.RESET_BEFORE,
        Fault.GRAPH_500_BEFORE,
        Fault.HTML_502_BEFORE,
        Fault.PLAIN_429,
        Fault.HANG_BEFORE,
        Fault.REFUSED,
    }
)


class SimulatedOutcome(NamedTuple):
    """Outcome; `code` is the error of a refusal, `failure` that of a later status, 0 is none."""

    fault: Fault | None = None
    code: int = 0
    failure: int = 0


SUCCESS = SimulatedOutcome()
# Outcomes of numbers by their last four digits, for repeatable demonstrations. Not from Meta.
MAGIC_NUMBERS = {
    "0026": SimulatedOutcome(failure=131026),
    "0047": SimulatedOutcome(failure=131047),
    "0049": SimulatedOutcome(failure=131049),
    "0050": SimulatedOutcome(failure=131050),
    "0053": SimulatedOutcome(failure=131053),
    "0054": SimulatedOutcome(Fault.RESET_AFTER),
    "0056": SimulatedOutcome(Fault.REFUSED, 131056),
    "0429": SimulatedOutcome(Fault.PLAIN_429),
    "0500": SimulatedOutcome(Fault.GRAPH_500_BEFORE),
    "0502": SimulatedOutcome(Fault.HTML_502_BEFORE),
    "0504": SimulatedOutcome(Fault.HANG_AFTER),
}
MAGIC_HIDDEN_SUFFIX = "0001"  # this user hides the number and shows only a user id


class OutcomeScripts:
    """Scripted outcomes, in order, for the next messages to a user."""

    def __init__(self) -> None:
        self._outcomes: dict[str, deque[SimulatedOutcome]] = {}

    def set_outcomes(self, wa_id: str, names: list[str]) -> None:
        """Set the outcomes by name; `parse_outcome` lists the names."""
        self._outcomes[wa_id] = deque(parse_outcome(name) for name in names)

    def pop_next(self, wa_id: str) -> SimulatedOutcome | None:
        outcomes = self._outcomes.get(wa_id) if self._outcomes else None
        return outcomes.popleft() if outcomes else None


def parse_outcome(name: str) -> SimulatedOutcome:
    """Parse a name: a fault, `ok`, an error code to refuse with, or `failed:<code>`.

    Raise ValueError for any other.
    """
    kind, _, code = name.partition(":")
    if name == "ok":
        return SUCCESS
    if name.isdecimal() and int(name) in ERROR_CODES:
        return SimulatedOutcome(Fault.REFUSED, int(name))
    if kind == "failed" and code.isdecimal() and int(code) in ERROR_CODES:
        return SimulatedOutcome(failure=int(code))
    if name in set(Fault) - {Fault.REFUSED}:
        return SimulatedOutcome(Fault(name))
    raise ValueError(f"`outcomes`: {name!r} is no fault, known error code or `failed:<code>`")


def choose_outcome(
    settings: Settings, wa_id: str, draws: RandomDraws, scripts: OutcomeScripts
) -> SimulatedOutcome:
    scripted = scripts.pop_next(wa_id)
    if scripted:
        return scripted
    if settings.magic_recipients and (magic := MAGIC_NUMBERS.get(wa_id[-4:])):
        return magic
    fault = _pick_fault(settings, draws.fault)
    if fault is None and draws.refused < settings.refused:
        fault = Fault.REFUSED
    code = settings.refused_code if fault is Fault.REFUSED else 0
    return SimulatedOutcome(fault, code, _pick_failure_code(settings, wa_id, draws))


def _pick_fault(settings: Settings, number: float) -> Fault | None:
    for name in EXCLUSIVE_FAULTS:
        share = getattr(settings, name)
        if number < share:
            return Fault(name)
        number -= share
    return None


def _pick_failure_code(settings: Settings, wa_id: str, draws: RandomDraws) -> int:
    """Return the code of a later failure or 0; an undeliverable user is so for every message."""
    if (
        settings.undeliverable
        and hash_fraction(f"{settings.seed}:u:{wa_id}") < settings.undeliverable
    ):
        return UNDELIVERABLE_CODE
    return settings.failed_code if draws.failed < settings.failed else 0
