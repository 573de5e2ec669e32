"""POST /messages: access token, recipients and answers."""

import pytest

from .conftest import MARIA, PHONE, TOKEN, Client


def test_a_text_is_accepted_with_contact_and_wamid(simulator: Client) -> None:
    answer = simulator.send()
    assert answer.status == 200
    assert answer.json["contacts"] == [{"input": MARIA, "wa_id": MARIA}]
    [message] = answer.json["messages"]
    assert message["id"].startswith("wamid.")
    assert "message_status" not in message


def test_every_message_has_its_own_id(simulator: Client) -> None:
    ids = {simulator.send().json["messages"][0]["id"] for _ in range(20)}
    assert len(ids) == 20


@pytest.mark.parametrize("header", ["", "Bearer wrong", "token-1"])
def test_without_the_right_token_the_answer_is_190(simulator: Client, header: str) -> None:
    answer = simulator.request("POST", f"/v25.0/{PHONE}/messages", {}, Authorization=header)
    assert (answer.status, answer.json["error"]["code"]) == (401, 190)
    assert simulator.summary()["refused"] == 1


def test_an_unknown_object_is_100_with_subcode_33(simulator: Client) -> None:
    auth = f"Bearer {TOKEN}"
    error = simulator.request("POST", "/v23.0/999/messages", {}, Authorization=auth)
    assert error.status == 400
    assert error.json["error"]["type"] == "GraphMethodException"
    assert (error.json["error"]["code"], error.json["error"]["error_subcode"]) == (100, 33)


def test_an_unknown_path_is_a_graph_error_with_a_trace_id(simulator: Client) -> None:
    answer = simulator.request("GET", "/v25.0/1/2/3/4")
    assert answer.status == 404
    assert answer.json["error"]["fbtrace_id"]


@pytest.mark.parametrize("to", ["+55 (11) 98765-1234", "5511987651234", "11987651234"])
def test_spellings_of_a_number_lead_to_one_wa_id(simulator: Client, to: str) -> None:
    contact = simulator.send(to).json["contacts"][0]
    assert contact == {"input": to, "wa_id": MARIA}


def test_a_share_of_the_outer_area_codes_loses_the_ninth_digit(simulator: Client) -> None:
    simulator.settings(ninth_digit_share=0.5)
    ids = [
        simulator.send(f"55419876512{n:02d}").json["contacts"][0]["wa_id"] for n in range(10, 34)
    ]
    lengths = {len(wa_id) for wa_id in ids}
    assert lengths == {12, 13}


def test_both_spellings_of_an_outer_number_are_one_user(simulator: Client) -> None:
    long, short = (
        simulator.send(to).json["contacts"][0] for to in ("5541987651234", "554187651234")
    )
    assert long["wa_id"] == short["wa_id"]


def test_a_bsuid_is_answered_with_user_id_and_without_wa_id(simulator: Client) -> None:
    body = {"messaging_product": "whatsapp", "type": "text", "text": {"body": "Oi"}}
    answer = simulator.post_message({**body, "recipient": "BR.1502576394655843"})
    assert answer.json["contacts"] == [
        {"input": "BR.1502576394655843", "user_id": "BR.1502576394655843"}
    ]


def test_a_read_receipt_succeeds_and_is_not_counted_as_a_message(simulator: Client) -> None:
    wamid = simulator.write()
    body = {"messaging_product": "whatsapp", "status": "read", "message_id": wamid}
    answer = simulator.post_message({**body, "typing_indicator": {"type": "text"}})
    assert answer.json == {"success": True}
    assert simulator.summary()["accepted"] == 0
    thread = simulator.control(f"/chat/{MARIA}").json
    assert thread["typing"] is True
    assert thread["messages"][0]["status"] == "read"


def test_the_throughput_limit_answers_130429(simulator: Client) -> None:
    simulator.settings(throughput_per_s=3)
    codes = [simulator.send().json.get("error", {}).get("code") for _ in range(6)]
    assert codes[:3] == [None, None, None]
    assert 130429 in codes[3:]


def test_the_pair_limit_holds_back_one_recipient_only(simulator: Client) -> None:
    simulator.settings(pair_limit=True, pair_burst=2)
    codes = [simulator.send().json.get("error", {}).get("code") for _ in range(3)]
    assert codes == [None, None, 131056]
    assert simulator.send("5511987659999").status == 200
