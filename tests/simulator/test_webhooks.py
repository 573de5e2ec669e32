"""Webhooks: statuses and messages, signed, batched and retried."""

import time

from .conftest import MARIA, Client, Receiver, signature_of, wait_for


def test_a_message_in_the_window_is_sent_delivered_and_read(
    simulator: Client, receiver: Receiver
) -> None:
    simulator.write()
    wamid = simulator.send(biz_opaque_callback_data='r:1 "ç"').json["messages"][0]["id"]
    simulator.wait_until_idle()
    statuses = receiver.statuses()
    assert [status["status"] for status in statuses] == ["sent", "delivered", "read"]
    for status in statuses:
        assert (status["id"], status["recipient_id"]) == (wamid, MARIA)
        assert status["biz_opaque_callback_data"] == 'r:1 "ç"'
        assert isinstance(status["timestamp"], str)
    assert [status.get("pricing", {}).get("category") for status in statuses] == [
        "service", "service", None]  # fmt: skip


def test_every_body_is_ascii_and_signed_over_its_bytes(
    simulator: Client, receiver: Receiver
) -> None:
    simulator.write(text="Olá, ação 😀 a/b", name="João")
    simulator.wait_until_idle()
    [post] = receiver.received
    assert post.body.isascii()
    assert b"\\ud83d\\ude00" in post.body
    assert b"a\\/b" in post.body
    assert post.signature == signature_of(post.body)
    assert receiver.messages()[0]["text"]["body"] == "Olá, ação 😀 a/b"


def test_free_form_outside_the_window_fails_with_131047(
    simulator: Client, receiver: Receiver
) -> None:
    assert simulator.send().status == 200
    simulator.write(timestamp=time.time() - 25 * 3600)
    assert simulator.send().status == 200
    simulator.wait_until_idle()
    statuses = receiver.statuses()
    assert [status["status"] for status in statuses] == ["failed", "failed"]
    assert {status["errors"][0]["code"] for status in statuses} == {131047}
    assert all("pricing" not in status for status in statuses)


def test_the_window_can_be_switched_off(simulator: Client, receiver: Receiver) -> None:
    simulator.settings(service_window=False)
    simulator.send()
    simulator.wait_until_idle()
    assert receiver.statuses()[0]["status"] == "sent"


def test_many_statuses_share_posts_values_and_entries(
    simulator: Client, receiver: Receiver
) -> None:
    simulator.settings(service_window=False, batch_window_ms=300, batch_size=50)
    sent = [simulator.send(f"55119876512{n}").json["messages"][0]["id"] for n in range(60, 90)]
    simulator.wait_until_idle()
    statuses = receiver.statuses()
    assert sorted(s["id"] for s in statuses if s["status"] == "read") == sorted(sent)
    assert len(statuses) == 90
    assert len(receiver.received) <= 4
    largest = max(receiver.received, key=lambda post: len(post.body)).json["entry"]
    assert len(largest) > 1
    assert len(largest[0]["changes"]) > 1


def test_a_refused_webhook_is_retried_with_the_same_bytes(
    simulator: Client, receiver: Receiver
) -> None:
    simulator.settings(retry_first_s=0.02)
    receiver.answers += [500, 302, 404]
    simulator.write()
    simulator.wait_until_idle()
    assert len(receiver.received) == 4
    assert len({post.body for post in receiver.received}) == 1
    assert simulator.summary()["webhook_attempts_failed"] == 3


def test_a_webhook_is_given_up_after_the_last_retry(simulator: Client, receiver: Receiver) -> None:
    simulator.settings(retry_first_s=0.02, retry_give_up_s=0)
    receiver.answers += [500] * 10
    simulator.write()
    simulator.wait_until_idle()
    assert simulator.summary()["webhooks_given_up"] == 1
    assert len(receiver.received) < 5


def test_a_reset_drops_webhooks_that_wait_for_a_retry(
    simulator: Client, receiver: Receiver
) -> None:
    simulator.settings(retry_first_s=30, retry_max_s=30)
    receiver.answers.append(500)
    simulator.write()
    wait_for(lambda: simulator.summary()["webhook_attempts_failed"] == 1)
    assert simulator.summary()["webhooks_pending"] == 1
    simulator.control("/reset", {})
    assert simulator.summary()["webhooks_pending"] == 0


def test_an_outage_holds_webhooks_and_delivers_them_later(
    simulator: Client, receiver: Receiver
) -> None:
    simulator.settings(webhook_outage=True)
    simulator.write()
    time.sleep(0.2)
    assert receiver.received == []
    assert simulator.summary()["webhooks_pending"] == 1
    simulator.settings(webhook_outage=False)
    simulator.wait_until_idle()
    assert len(receiver.messages()) == 1


def test_statuses_can_be_duplicated_shuffled_or_without_delivered(
    simulator: Client, receiver: Receiver
) -> None:
    simulator.settings(service_window=False, duplicate_status=1)
    simulator.send()
    simulator.wait_until_idle()
    assert len(receiver.statuses()) == 6
    receiver.received.clear()
    simulator.settings(
        duplicate_status=0,
        shuffle_status=1,
        **dict.fromkeys(("delivered_min_s", "delivered_max_s"), 0.1),
        **dict.fromkeys(("read_min_s", "read_max_s"), 0.2),
    )
    simulator.send()
    simulator.wait_until_idle()
    assert [s["status"] for s in receiver.statuses()] == ["read", "delivered", "sent"]
    receiver.received.clear()
    simulator.settings(shuffle_status=0, skip_delivered=1)
    simulator.send()
    simulator.wait_until_idle()
    assert [s["status"] for s in receiver.statuses()] == ["sent", "read"]
    assert "pricing" in receiver.statuses()[1]


def test_statuses_can_be_off_or_late(simulator: Client, receiver: Receiver) -> None:
    simulator.settings(statuses=False)
    simulator.send()
    assert simulator.summary()["webhooks_pending"] == 0
    simulator.settings(statuses=True, status_delay_ms=60_000)
    simulator.send()
    time.sleep(0.1)
    assert receiver.received == []
    assert simulator.summary()["webhooks_pending"] == 1


def test_a_button_tap_is_an_interactive_message_with_its_context(
    simulator: Client, receiver: Receiver
) -> None:
    simulator.write(type="button_reply", reply_id="pix", title="Pagar", context_id="wamid.a")
    simulator.write(type="list_reply", reply_id="r1", title="Segunda via", description="Boleto")
    simulator.write(type="button", text="SAIR", payload="sair")
    simulator.write(type="raw", message={"type": "order", "order": {"catalog_id": "1"}})
    simulator.wait_until_idle()
    by_type = {m.get("interactive", m)["type"]: m for m in receiver.messages()}
    assert by_type["button_reply"]["interactive"]["button_reply"] == {"id": "pix", "title": "Pagar"}
    assert by_type["button_reply"]["context"]["id"] == "wamid.a"
    assert by_type["list_reply"]["interactive"]["list_reply"]["description"] == "Boleto"
    assert by_type["button"]["button"] == {"payload": "sair", "text": "SAIR"}
    assert by_type["order"]["from"] == MARIA


def test_an_inbound_message_carries_its_contact(simulator: Client, receiver: Receiver) -> None:
    simulator.write("5541987651234", name="Ana")
    simulator.wait_until_idle()
    [value] = receiver.received[0].values()
    [contact] = value["contacts"]
    assert contact["profile"] == {"name": "Ana"}
    assert contact["wa_id"] == value["messages"][0]["from"]
    assert contact["user_id"] == value["messages"][0]["from_user_id"]


def test_any_body_can_be_sent_signed_and_in_copies(simulator: Client, receiver: Receiver) -> None:
    simulator.control("/webhook", {"body": {"entry": []}, "copies": 3})
    simulator.control("/webhook", {"body": "not json"})
    simulator.wait_until_idle()
    assert sorted(post.body for post in receiver.received) == [b"not json"] + [b'{"entry":[]}'] * 3
    assert all(post.signature == signature_of(post.body) for post in receiver.received)


def test_the_webhook_url_is_verified(simulator: Client, receiver: Receiver) -> None:
    assert simulator.control("/verify", {}).json == {"verified": True}
    assert receiver.received == []


def test_nothing_is_delivered_before_verification_with_verify_first(
    simulator: Client, receiver: Receiver
) -> None:
    receiver.refuses_verification = True
    simulator.settings(verify_first=True, retry_first_s=0.05)
    simulator.write()
    assert simulator.control("/verify", {}).json == {"verified": False}
    assert receiver.received == []
    receiver.refuses_verification = False
    simulator.wait_until_idle()
    assert len(receiver.messages()) == 1


def test_the_second_tick_of_a_customer_waits_for_a_200(
    simulator: Client, receiver: Receiver
) -> None:
    def status() -> str:
        return str(simulator.control(f"/chat/{MARIA}").json["messages"][0]["status"])

    simulator.settings(webhook_outage=True)
    simulator.write()
    assert status() == "waiting"
    simulator.settings(webhook_outage=False)
    wait_for(lambda: status() == "delivered")
