"""Bot engine: turns, effects and intents. Pure: no network, no database.

A handler is a generator that yields effects (`Say`, `HandOff`, ...). For an effect with a result, such
as `FetchInvoices`, `yield` returns that result. `bot.turns` performs the effects.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from chatbot.bot.sentences import Sentence
from chatbot.bot.understanding.classifier import Intent, classify
from chatbot.bot.understanding.consent import ConsentWish, find_consent_wish

BUTTON_PREFIX = "intent:"


@dataclass(frozen=True, slots=True)
class Say:
    """Sentence of the registry with the values of its variables; `buttons` are (intent, title).

    A mandatory sentence is sent even while an agent has the conversation.
    """

    sentence: Sentence
    values: dict[str, Any] = field(default_factory=dict)
    buttons: Sequence[tuple[str, Sentence]] = ()
    is_mandatory: bool = False


@dataclass(frozen=True, slots=True)
class SayVerbatim:
    """Text that is not translated, such as a Pix code."""

    text: str


@dataclass(frozen=True, slots=True)
class FetchInvoices:
    """Effect whose result is the contact's open invoices, the oldest due first."""


@dataclass(frozen=True, slots=True)
class HandOff:
    reason: str


@dataclass(frozen=True, slots=True)
class OptOut:
    evidence: str


@dataclass(frozen=True, slots=True)
class OptIn:
    evidence: str


Effect = Say | SayVerbatim | FetchInvoices | HandOff | OptOut | OptIn


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """Input of a handler. `text` is all messages that wait for an answer."""

    text: str
    intent: Intent
    content_kind: str = ""  # kind of the message whose content is answered, and its payload
    content: Mapping[str, Any] = field(default_factory=dict)
    opt_out_text: str = ""  # of messages that ask to stop, beside others
    confidence: float = 1.0
    last_intent: str | None = None
    slots: dict[str, Any] = field(default_factory=dict)
    contact_name: str = ""
    company_name: str = ""
    today: date = date.min
    is_opted_out: bool = False

    @property
    def first_name(self) -> str:
        return self.contact_name.split()[0].capitalize() if self.contact_name.split() else ""


Effects = Generator[Effect, Any, None]
Handler = Callable[[Turn], Effects]


def separate_opt_outs(texts: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the messages that ask to stop without doubt, and the others.

    A contact who writes SAIR beside a question wants both.
    """
    opt_outs = [text for text in texts if find_consent_wish(text) is ConsentWish.STOP]
    return opt_outs, [text for text in texts if text not in opt_outs]


def detect_intent(texts: Sequence[str], button_id: str | None) -> tuple[Intent, float]:
    """Return intent and confidence of a tapped button, else of the messages as a whole."""
    if button_id and button_id.startswith(BUTTON_PREFIX):
        name = button_id.removeprefix(BUTTON_PREFIX)
        if name in set(Intent):
            return Intent(name), 1.0
    prediction = classify("\n".join(texts))
    return prediction.intent, prediction.confidence
