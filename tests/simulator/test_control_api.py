"""Control API: settings, log, threads, and local access only."""

import json
import threading
import time
from typing import Any

import pytest

from .conftest import ACCOUNT, MARIA, PHONE, TOKEN, Answer, Client, Receiver


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"read_share": 1.5}, "read_share"),
        ({"latency_ms": "muita"}, "latency_ms"),
        ({"sent_min_s": 9}, "sent_min_s"),
        ({"nada": 1}, "nada"),
        ({"reset_after_accept": 0.6, "hang_after_accept": 0.6}, "reset_after_accept"),
    ],
)
def test_a_wrong_setting_is_refused_by_name_and_changes_nothing(
    simulator: Client, change: dict[str, Any], field: str
) -> None:
    before = simulator.control("/settings").json
    answer = simulator.control("/settings", {"seed": 99, **change})
    assert answer.status == 400
    assert field in answer.json["error"]
    assert simulator.control("/settings").json == before


def test_the_log_shows_what_arrived(simulator: Client) -> None:
    simulator.send(biz_opaque_callback_data="r:1")
    simulator.send("+55 41 98765-1234")
    first, second = simulator.control("/log").json["entries"]
    assert first["body"]["text"] == {"body": "Oi"}
    assert (first["to"], first["type"], first["callback_data"]) == (MARIA, "text", "r:1")
    assert (first["accepted"], first["answer"], first["wamid"][:6]) == (True, "ok", "wamid.")
    assert simulator.control(f"/log?since={first['id']}").json["entries"] == [second]
    assert simulator.control(f"/log?to={second['wa_id']}").json["entries"] == [second]
    assert simulator.control("/log?limit=-1").json["entries"] == [second]


def test_the_summary_counts_repeats_of_one_callback(simulator: Client) -> None:
    for callback in ("r:1:a", "r:1:a", "r:1:b", "r:2:a"):
        simulator.send(biz_opaque_callback_data=callback)
    simulator.send("5511900001111")
    simulator.send("x")
    summary = simulator.summary()
    assert (summary["accepted"], summary["refused"], summary["duplicates"]) == (5, 1, 1)
    assert (summary["unique_recipients"], summary["max_per_recipient"]) == (2, 4)
    assert simulator.control("/log/summary?parts=2").json["duplicates"] == 2


def test_a_reset_can_keep_the_settings(simulator: Client) -> None:
    simulator.settings(seed=5)
    simulator.write()
    simulator.send()
    simulator.control("/reset", {"keep_settings": True})
    assert simulator.summary()["accepted"] == 0
    assert simulator.control(f"/chat/{MARIA}").json["messages"] == []
    assert simulator.control("/settings").json["seed"] == 5
    simulator.control("/reset", {})
    assert simulator.control("/settings").json["seed"] == 1


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Content_Type": "text/plain"}, 415),
        ({"Origin": "http://localhost:8010"}, 200),
    ],
)
def test_the_control_api_answers_local_requests_only(
    simulator: Client, headers: dict[str, str], status: int
) -> None:
    sent = {"Content_Type": "application/json", **headers}
    assert simulator.request("POST", "/_sim/settings", b"{}", **sent).status == status


def test_an_inbound_message_without_a_required_field_is_refused(simulator: Client) -> None:
    answer = simulator.control("/inbound", {"from": MARIA, "type": "button_reply"})
    assert (answer.status, "reply_id" in answer.json["error"]) == (400, True)
    assert simulator.control("/inbound", {"from": "abc", "text": "Oi"}).status == 400


def test_a_thread_shows_both_directions_and_rendered_templates(simulator: Client) -> None:
    simulator.write(text="Quero a fatura")
    parameters = [{"type": "text", "text": text} for text in ("Maria", "10/12")]
    template = {
        "name": "lembrete_fatura",
        "language": {"code": "pt_BR"},
        "components": [{"type": "body", "parameters": parameters}],
    }
    simulator.send(type="template", template=template)
    simulator.wait_until_idle()
    inbound, outbound = simulator.control(f"/chat/{MARIA}").json["messages"]
    assert (inbound["direction"], inbound["status"]) == ("inbound", "delivered")
    assert outbound["rendered"]["text"].startswith("Olá, Maria! Sua fatura vence em 10/12.")
    assert outbound["rendered"]["footer"] == "Responda SAIR para não receber mais"
    assert [item["status"] for item in outbound["statuses"]] == ["sent", "delivered", "read"]


def test_a_long_poll_ends_when_something_happens(simulator: Client) -> None:
    answers: list[Answer] = []

    def poll() -> None:
        answers.append(simulator.control(f"/chat/{MARIA}?since=0&wait=8"))

    page = threading.Thread(target=poll)
    page.start()
    time.sleep(0.2)
    assert not answers
    simulator.write(text="Cheguei")
    page.join(timeout=30)
    assert answers[0].json["messages"][0]["content"]["text"]["body"] == "Cheguei"


def test_a_long_poll_that_is_behind_is_answered_at_once(simulator: Client) -> None:
    simulator.write()
    started = time.monotonic()
    assert simulator.control(f"/chat/{MARIA}?since=0&wait=8").json["messages"]
    assert time.monotonic() - started < 7


def test_an_open_chat_reports_delivered_messages_as_read(
    simulator: Client, receiver: Receiver
) -> None:
    simulator.settings(read_share=0, service_window=False)
    simulator.send(biz_opaque_callback_data="m:1")
    simulator.wait_until_idle()
    assert simulator.control("/read", {"wa_id": MARIA}).json == {"read": 1}
    assert simulator.control("/read", {"wa_id": MARIA}).json == {"read": 0}
    simulator.wait_until_idle()
    last = receiver.statuses()[-1]
    assert (last["status"], last["biz_opaque_callback_data"]) == ("read", "m:1")


def test_the_account_and_its_number_can_be_read(simulator: Client) -> None:
    phone = simulator.graph(f"/{PHONE}?fields=verified_name,throughput").json
    assert set(phone) == {"verified_name", "throughput", "id"}
    assert simulator.graph(f"/{ACCOUNT}").json["id"] == ACCOUNT
    assert simulator.graph(f"/{ACCOUNT}/phone_numbers").json["data"][0]["id"] == PHONE
    assert simulator.graph(f"/{ACCOUNT}/subscribed_apps").json["data"]
    assert simulator.graph("/999").json["error"]["error_subcode"] == 33


def test_accepted_messages_are_listed_by_callback_prefix(simulator: Client) -> None:
    simulator.settings(reset_after_accept=0)
    for callback in ("r:1:1", "r:2:1", "m:1:1"):
        simulator.send(biz_opaque_callback_data=callback)
    simulator.send("x", biz_opaque_callback_data="r:3:1")
    simulator.post_message(
        {"messaging_product": "whatsapp", "status": "read", "message_id": "wamid.a"}
    )
    lines = simulator.control("/accepted").body.splitlines()
    sends = [json.loads(line) for line in lines]
    assert [send["callback_data"] for send in sends] == ["r:1:1", "r:2:1", "m:1:1"]
    assert all(send["wamid"].startswith("wamid.") for send in sends)
    rows = simulator.control("/accepted?prefix=r:").body.splitlines()
    assert [json.loads(row)["callback_data"] for row in rows] == ["r:1:1", "r:2:1"]
    since = simulator.control(f"/accepted?since={sends[1]['id']}").body.splitlines()
    assert len(since) == 1


def test_the_log_keeps_headers_and_body_byte_for_byte(simulator: Client) -> None:
    raw = b'{ "messaging_product" :"whatsapp", "to": "5511987651234", "text": {"body":"\\u00e7"} }'
    simulator.post_message(raw)
    [entry] = simulator.control("/log").json["entries"]
    assert entry["headers"]["Authorization"] == f"Bearer {TOKEN}"
    assert simulator.control(f"/log/{entry['id']}/body").body == raw
    assert simulator.control("/log/999/body").status == 400
