from __future__ import annotations

import pytest

from chatbot.channels.gateway import Accepted, Doubtful, Refused, Unreached
from chatbot.channels.whatsapp.errors import REACTIONS, Reaction, reaction_to
from chatbot.delivery.outcomes import Result
from chatbot.delivery.reactions import MAX_ATTEMPTS, judge

RESULTS = {
    Reaction.RETRY: Result.RETRY,
    Reaction.PAIR: Result.RETRY,
    Reaction.SLOW: Result.UNSENT,
    Reaction.RECIPIENT: Result.FAILED,
    Reaction.MESSAGE: Result.FAILED,
    Reaction.DEFER: Result.FAILED,
    Reaction.TEMPLATE: Result.UNSENT,
    Reaction.STOP: Result.UNSENT,
    Reaction.TOKEN: Result.UNSENT,
}


@pytest.mark.parametrize("code", REACTIONS)
def test_every_known_code_is_judged_by_its_reaction(code: int) -> None:
    verdict = judge(Refused(code, "because"), attempt=1)
    assert verdict.reaction is REACTIONS[code]
    assert verdict.result is RESULTS[REACTIONS[code]]
    assert (verdict.code, verdict.detail) == (code, "because")
    assert verdict.halts == (REACTIONS[code] in ("template", "stop", "token"))
    may_wait = verdict.result is Result.RETRY or verdict.reaction is Reaction.SLOW
    assert (verdict.retry_in_s > 0) == may_wait


@pytest.mark.parametrize(
    ("code", "status", "reaction"),
    [
        (999_999, 400, Reaction.MESSAGE),
        (999_999, 403, Reaction.MESSAGE),
        (999_999, 429, Reaction.SLOW),
        (999_999, 500, Reaction.RETRY),
        (999_999, 503, Reaction.RETRY),
        (200, 403, Reaction.TOKEN),
        (299, 400, Reaction.TOKEN),
        (300, 400, Reaction.MESSAGE),
        (-1, 500, Reaction.RETRY),
    ],
)
def test_an_unknown_code_is_judged_by_its_http_status(
    code: int, status: int, reaction: Reaction
) -> None:
    assert reaction_to(code, status) is reaction


def test_what_is_temporary_is_tried_a_few_times_and_then_fails() -> None:
    results = [judge(Refused(131000, ""), attempt).result for attempt in range(1, 8)]
    assert results == [Result.RETRY] * (MAX_ATTEMPTS - 1) + [Result.FAILED] * 3


def test_each_wait_is_longer_than_the_one_before() -> None:
    for code in (131000, 131056):
        waits = [judge(Refused(code, ""), n).retry_in_s for n in range(1, MAX_ATTEMPTS)]
        assert waits == sorted(waits)
        assert waits[-1] > 4 * waits[0]


def test_too_fast_waits_as_long_as_the_provider_asks() -> None:
    assert judge(Refused(130429, "", 429, retry_after_s=17), 1).retry_in_s == 17
    assert judge(Refused(130429, "", 429), 99).result is Result.UNSENT


def test_only_a_refusal_in_graphs_own_words_is_no_doubt() -> None:
    assert judge(Accepted("w"), 1).result is Result.ACCEPTED
    assert judge(Doubtful("time-out"), 1).result is Result.DOUBT
    unreached = judge(Unreached("refused"), MAX_ATTEMPTS + 5)
    assert (unreached.result, unreached.retry_in_s > 0) == (Result.UNSENT, True)
