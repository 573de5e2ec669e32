"""From a provider's answer to what becomes of the row."""

from __future__ import annotations

import random
from dataclasses import dataclass

from chatbot.channels.gateway import Accepted, Answer, Doubtful, Refused, Unreached
from chatbot.channels.whatsapp.errors import Reaction, reaction_to
from chatbot.delivery.outcomes import Result

MAX_ATTEMPTS = 5
UNREACHED_S = 3.0
SLOW_S = 2.0

# Errors that make every further send of the same kind pointless.
HALTING = frozenset({Reaction.TEMPLATE, Reaction.STOP, Reaction.TOKEN})


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The result for the row, and the reaction asked for. `retry_in_s` is seconds."""

    result: Result
    reaction: Reaction | None = None
    code: int | None = None
    detail: str | None = None
    retry_in_s: float = 0.0

    @property
    def halts(self) -> bool:
        return self.reaction in HALTING


_YES = Verdict(result=Result.ACCEPTED)


def judge(answer: Answer, attempt: int) -> Verdict:
    match answer:
        case Accepted():
            return _YES
        case Doubtful(reason):
            return Verdict(result=Result.DOUBT, detail=reason)
        case Unreached(reason):
            return Verdict(result=Result.UNSENT, detail=reason, retry_in_s=UNREACHED_S)
        case Refused():
            return _judge_refusal(answer, attempt)


def _judge_refusal(refusal: Refused, attempt: int) -> Verdict:
    reaction = reaction_to(refusal.code, refusal.status)
    result, retry_in_s = Result.FAILED, 0.0
    if reaction in HALTING:
        result = Result.UNSENT  # it goes out once a person has mended the cause
    elif reaction is Reaction.SLOW:
        result, retry_in_s = Result.UNSENT, refusal.retry_after_s or SLOW_S
    elif reaction in (Reaction.RETRY, Reaction.PAIR) and attempt < MAX_ATTEMPTS:
        result, retry_in_s = Result.RETRY, _backoff_s(reaction, attempt)
    return Verdict(
        result=result,
        reaction=reaction,
        code=refusal.code,
        detail=refusal.detail,
        retry_in_s=retry_in_s,
    )


def _backoff_s(reaction: Reaction, attempt: int) -> float:
    """Doubling for what is temporary; for the pair limit 4^n seconds, as Meta says
    (whatsapp_cloud_api.md section 6)."""
    base = 4.0 if reaction is Reaction.PAIR else 2.0
    return float(base**attempt) * random.uniform(0.8, 1.2)
