"""Simulated faults, and their entries in the log."""

import time
from typing import Any

import pytest

from .conftest import INSTANT, Client, Receiver


def entries(simulator: Client) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = simulator.control("/log").json["entries"]
    return found


@pytest.mark.parametrize(
    ("fault", "accepted"), [("reset_after_accept", True), ("reset_before_accept", False)]
)
def test_a_reset_is_a_real_rst(simulator: Client, fault: str, accepted: bool) -> None:
    simulator.settings(**{fault: 1})
    with pytest.raises(ConnectionResetError):
        simulator.send()
    [entry] = entries(simulator)
    assert (entry["accepted"], entry["answer"]) == (accepted, fault)


@pytest.mark.parametrize(
    ("fault", "status", "accepted", "start"),
    [
        ("http_500_before", 500, False, b'{"error"'),
        ("html_502_before", 502, False, b"<!DOCTYPE html>"),
        ("http_500_after", 502, True, b"<!DOCTYPE html>"),
    ],
)
def test_only_the_log_shows_whether_a_message_with_a_server_error_was_accepted(
    simulator: Client, fault: str, status: int, accepted: bool, start: bytes
) -> None:
    simulator.settings(**{fault: 1})
    answer = simulator.send()
    assert answer.status == status
    assert answer.body.startswith(start)
    assert entries(simulator)[0]["accepted"] is accepted


def test_a_message_with_an_unreadable_200_was_accepted(simulator: Client) -> None:
    simulator.settings(unreadable_200=1)
    starts = set()
    for number in range(12):
        answer = simulator.send(f"551198765{number:04d}")
        assert answer.status == 200
        with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
            _ = answer.json
        starts.add(answer.body[:2])
    assert starts == {b"", b"<!", b'{"'}
    assert simulator.summary()["accepted"] == 12


def test_a_hang_happens_before_or_after_acceptance(simulator: Client, receiver: Receiver) -> None:
    simulator.settings(magic_recipients=True, hang_before_accept=1)
    with pytest.raises(TimeoutError):
        simulator.send(timeout=0.4)
    assert entries(simulator)[0]["accepted"] is False
    with pytest.raises(TimeoutError):
        simulator.post_message(
            {"messaging_product": "whatsapp", "to": "5511900000504", "text": {"body": "a"}},
            timeout=0.4,
        )
    simulator.wait_until_idle()
    assert entries(simulator)[1]["accepted"] is True
    assert receiver.statuses()


@pytest.mark.parametrize(("digits", "code"), [("0026", 131026), ("0049", 131049), ("0050", 131050)])
def test_a_magic_number_fails_after_acceptance(
    simulator: Client, receiver: Receiver, digits: str, code: int
) -> None:
    simulator.settings(service_window=False, magic_recipients=True)
    assert simulator.send(f"551198765{digits}").status == 200
    simulator.wait_until_idle()
    [status] = receiver.statuses()
    assert (status["status"], status["errors"][0]["code"]) == ("failed", code)


@pytest.mark.parametrize(("digits", "status"), [("0500", 500), ("0502", 502), ("0056", 400)])
def test_a_magic_number_is_refused_at_once(simulator: Client, digits: str, status: int) -> None:
    simulator.settings(magic_recipients=True)
    assert simulator.send(f"551198765{digits}").status == status
    assert simulator.summary()["accepted"] == 0


def test_0054_accepts_and_resets(simulator: Client) -> None:
    simulator.settings(magic_recipients=True)
    with pytest.raises(ConnectionResetError):
        simulator.send("5511987650054")
    assert simulator.summary()["accepted"] == 1


def test_magic_numbers_are_off_by_default(simulator: Client) -> None:
    assert simulator.send("5511987650500").status == 200


def test_latency_delays_the_answer_and_not_the_acceptance(
    simulator: Client, receiver: Receiver
) -> None:
    simulator.settings(latency_ms=300, service_window=False)
    started = time.monotonic()
    simulator.send()
    assert time.monotonic() - started > 0.3
    assert receiver.statuses(), "a status comes before the answer"


def test_a_share_is_met_and_repeatable_with_its_seed(simulator: Client) -> None:
    def run(seed: int) -> list[int]:
        simulator.control("/reset", {})
        simulator.settings(seed=seed, html_502_before=0.3)
        return [simulator.send(f"5511987{n:06d}").status for n in range(1100, 1300)]

    first, again, other = run(7), run(7), run(8)
    assert first == again
    assert first != other
    assert 35 <= first.count(502) <= 85


def test_a_second_attempt_may_succeed(simulator: Client) -> None:
    simulator.settings(html_502_before=0.5)
    assert {simulator.send().status for _ in range(20)} == {200, 502}


def test_a_plain_429_has_six_forms(simulator: Client) -> None:
    simulator.settings(http_429=1)
    forms = set()
    for number in range(40):
        answer = simulator.send(f"551198765{number:04d}")
        assert answer.status == 429
        forms.add(answer.body[:9])
    assert forms == {b"", b"<!DOCTYPE", b'{"error":'}
    assert simulator.summary()["accepted"] == 0


@pytest.mark.parametrize(("code", "status"), [(131031, 403), (190, 401), (131042, 400), (2, 503)])
def test_any_code_of_meta_can_be_the_refusal(simulator: Client, code: int, status: int) -> None:
    simulator.settings(refused=1, refused_code=code)
    answer = simulator.send()
    assert (answer.status, answer.json["error"]["code"]) == (status, code)


def test_an_unknown_code_is_refused_as_a_setting(simulator: Client) -> None:
    answer = simulator.control("/settings", {"refused_code": 7})
    assert (answer.status, "refused_code" in answer.json["error"]) == (400, True)


def test_a_script_decides_the_outcome_of_the_next_messages_to_a_user(
    simulator: Client, receiver: Receiver
) -> None:
    simulator.settings(service_window=False)
    outcomes = ["131056", "html_502_before", "ok", "failed:131049"]
    assert (
        simulator.control("/scripts", {"to": "5511987651234", "outcomes": outcomes}).status == 200
    )
    assert [simulator.send().status for _ in range(5)] == [400, 502, 200, 200, 200]
    assert simulator.send("5511987659999").status == 200
    simulator.wait_until_idle()
    failed = [s["errors"][0]["code"] for s in receiver.statuses() if s["status"] == "failed"]
    assert failed == [131049]
    answer = simulator.control("/scripts", {"to": "5511987651234", "outcomes": ["rain"]})
    assert (answer.status, "rain" in answer.json["error"]) == (400, True)


def test_a_seed_gives_the_same_run_in_any_order(simulator: Client, receiver: Receiver) -> None:
    def run(seed: int, numbers: list[int]) -> dict[str, Any]:
        simulator.control("/reset", {})
        receiver.received.clear()
        simulator.settings(
            **INSTANT | {"read_share": 0.5, "skip_delivered": 0.3, "duplicate_status": 0.2},
            seed=seed,
            service_window=False,
            failed=0.2,
        )
        for number in numbers:
            simulator.send(f"5511987{number:06d}", biz_opaque_callback_data=str(number))
        simulator.wait_until_idle()
        outcomes: dict[str, Any] = {}
        for status in receiver.statuses():
            outcomes.setdefault(status["biz_opaque_callback_data"], []).append(status["status"])
        return {key: sorted(names) for key, names in outcomes.items()}

    numbers = list(range(1100, 1160))
    first = run(7, numbers)
    assert run(7, numbers[::-1]) == first
    assert run(8, numbers) != first
    assert {len(names) for names in first.values()} > {1, 2}
