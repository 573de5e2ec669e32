from __future__ import annotations

import pytest

from chatbot.channels.gateway import Accepted, Doubtful, GatewayAnswer, Refused, Unreachable
from chatbot.channels.whatsapp.errors import POLICIES, ErrorPolicy, get_error_policy
from chatbot.delivery.outbound import OutboundMessage
from chatbot.delivery.results import (
    HALTING_POLICIES,
    MAX_ATTEMPTS,
    ResultKind,
    SendResult,
    classify_answer,
)

RESULTS = {
    ErrorPolicy.RETRY: ResultKind.RETRY,
    ErrorPolicy.PAIR: ResultKind.RETRY,
    ErrorPolicy.SLOW: ResultKind.UNSENT,
    ErrorPolicy.RECIPIENT: ResultKind.FAILED,
    ErrorPolicy.MESSAGE: ResultKind.FAILED,
    ErrorPolicy.DEFER: ResultKind.FAILED,
    ErrorPolicy.TEMPLATE: ResultKind.UNSENT,
    ErrorPolicy.STOP: ResultKind.UNSENT,
    ErrorPolicy.TOKEN: ResultKind.UNSENT,
}


def classify(answer: GatewayAnswer, attempt: int) -> SendResult:
    message = OutboundMessage(row_id=1, attempt=attempt, token="t", to="5511", body={})
    return classify_answer(answer, message)


@pytest.mark.parametrize("code", POLICIES)
def test_every_known_code_has_its_policy(code: int) -> None:
    result = classify(Refused(code, "because"), attempt=1)
    assert result.policy is POLICIES[code]
    assert result.kind is RESULTS[POLICIES[code]]
    assert (result.error_code, result.error_detail) == (code, "because")
    assert (result.policy in HALTING_POLICIES) == (POLICIES[code] in ("template", "stop", "token"))
    may_wait = result.kind is ResultKind.RETRY or result.policy is ErrorPolicy.SLOW
    assert (result.retry_in_s > 0) == may_wait


@pytest.mark.parametrize(
    ("code", "status", "policy"),
    [
        (999_999, 400, ErrorPolicy.MESSAGE),
        (999_999, 403, ErrorPolicy.MESSAGE),
        (999_999, 429, ErrorPolicy.SLOW),
        (999_999, 500, ErrorPolicy.RETRY),
        (999_999, 503, ErrorPolicy.RETRY),
        (200, 403, ErrorPolicy.TOKEN),
        (299, 400, ErrorPolicy.TOKEN),
        (300, 400, ErrorPolicy.MESSAGE),
        (-1, 500, ErrorPolicy.RETRY),
    ],
)
def test_an_unknown_code_is_classified_by_its_http_status(
    code: int, status: int, policy: ErrorPolicy
) -> None:
    assert get_error_policy(code, status) is policy


def test_a_temporary_error_is_retried_a_few_times_and_then_fails() -> None:
    results = [classify(Refused(131000, ""), attempt).kind for attempt in range(1, 8)]
    assert results == [ResultKind.RETRY] * (MAX_ATTEMPTS - 1) + [ResultKind.FAILED] * 3


def test_each_wait_is_longer_than_the_one_before() -> None:
    for code in (131000, 131056):
        waits = [classify(Refused(code, ""), n).retry_in_s for n in range(1, MAX_ATTEMPTS)]
        assert waits == sorted(waits)
        assert waits[-1] > 4 * waits[0]


def test_too_fast_waits_as_long_as_the_provider_asks() -> None:
    assert classify(Refused(130429, "", 429, retry_after_s=17), 1).retry_in_s == 17
    assert classify(Refused(130429, "", 429), 99).kind is ResultKind.UNSENT


def test_only_an_answer_of_graph_is_certain() -> None:
    assert classify(Accepted("w"), 1).kind is ResultKind.ACCEPTED
    assert classify(Doubtful("time-out"), 1).kind is ResultKind.DOUBT
    unreached = classify(Unreachable("refused"), MAX_ATTEMPTS + 5)
    assert (unreached.kind, unreached.retry_in_s > 0) == (ResultKind.UNSENT, True)
