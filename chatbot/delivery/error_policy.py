"""From a provider's answer to what becomes of the row."""

from __future__ import annotations

import random
from dataclasses import dataclass

from chatbot.channels.gateway import Accepted, Doubtful, GatewayAnswer, Refused, Unreachable
from chatbot.channels.whatsapp.errors import ErrorPolicy, get_error_policy
from chatbot.delivery.results import ResultKind

MAX_ATTEMPTS = 5
UNREACHABLE_RETRY_S = 3.0
SLOW_DOWN_RETRY_S = 2.0

# Errors that make every further send of the same kind pointless.
HALTING_POLICIES = frozenset({ErrorPolicy.TEMPLATE, ErrorPolicy.STOP, ErrorPolicy.TOKEN})


@dataclass(frozen=True, slots=True, kw_only=True)
class SendDecision:
    """The result for the row, and the reaction asked for. `retry_in_s` is seconds."""

    result: ResultKind
    policy: ErrorPolicy | None = None
    code: int | None = None
    detail: str | None = None
    retry_in_s: float = 0.0

    @property
    def halts(self) -> bool:
        return self.policy in HALTING_POLICIES


_ACCEPTED = SendDecision(result=ResultKind.ACCEPTED)


def classify_answer(answer: GatewayAnswer, attempt: int) -> SendDecision:
    match answer:
        case Accepted():
            return _ACCEPTED
        case Doubtful(reason):
            return SendDecision(result=ResultKind.DOUBT, detail=reason)
        case Unreachable(reason):
            return SendDecision(
                result=ResultKind.UNSENT, detail=reason, retry_in_s=UNREACHABLE_RETRY_S
            )
        case Refused():
            return _classify_refusal(answer, attempt)


def _classify_refusal(refusal: Refused, attempt: int) -> SendDecision:
    policy = get_error_policy(refusal.code, refusal.status)
    result, retry_in_s = ResultKind.FAILED, 0.0
    if policy in HALTING_POLICIES:
        result = ResultKind.UNSENT  # it goes out once a person has mended the cause
    elif policy is ErrorPolicy.SLOW:
        result, retry_in_s = ResultKind.UNSENT, refusal.retry_after_s or SLOW_DOWN_RETRY_S
    elif policy in (ErrorPolicy.RETRY, ErrorPolicy.PAIR) and attempt < MAX_ATTEMPTS:
        result, retry_in_s = ResultKind.RETRY, _backoff_s(policy, attempt)
    return SendDecision(
        result=result,
        policy=policy,
        code=refusal.code,
        detail=refusal.detail,
        retry_in_s=retry_in_s,
    )


def _backoff_s(policy: ErrorPolicy, attempt: int) -> float:
    """Doubling for what is temporary; for the pair limit 4^n seconds, as Meta says
    (whatsapp_cloud_api.md section 6)."""
    base = 4.0 if policy is ErrorPolicy.PAIR else 2.0
    return float(base**attempt) * random.uniform(0.8, 1.2)
