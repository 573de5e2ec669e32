"""Rules of Meta that need state: hidden numbers, messaging tier, service window, clock."""

from typing import Any

import pytest

from .conftest import ACCOUNT, MARIA, PHONE, TOKEN, Client, Receiver

BOAS_VINDAS = {
    "name": "boas_vindas",
    "language": {"code": "pt_BR"},
    "components": [
        {
            "type": "body",
            "parameters": [{"type": "text", "parameter_name": "nome", "text": "Ana"}],
        }
    ],
}


def send_template(simulator: Client, to: str) -> int:
    """Send a template; return 0 if it was accepted, otherwise the error code."""
    answer = simulator.send(to, type="template", template=BOAS_VINDAS)
    return int(answer.json.get("error", {}).get("code", 0))


def send_to_user(simulator: Client, user_id: str, **message: Any) -> Any:
    body = {"messaging_product": "whatsapp", "recipient": user_id, **message}
    return simulator.post_message(body)


def test_a_user_who_hides_the_number_has_a_user_id_and_a_username(
    simulator: Client, receiver: Receiver
) -> None:
    simulator.settings(hidden_share=1)
    simulator.write(name="Ana")
    simulator.wait_until_idle()
    [value] = receiver.received[0].values()
    [contact], [message] = value["contacts"], value["messages"]
    user_id = message["from_user_id"]
    assert ("from" in message, "wa_id" in contact) == (False, False)
    assert contact["profile"]["username"].startswith("cliente.")

    receiver.received.clear()
    text = {"type": "text", "text": {"body": "Olá"}}
    answer = send_to_user(simulator, user_id, **text)
    assert answer.json["contacts"] == [{"input": user_id, "user_id": user_id}]
    simulator.wait_until_idle()
    statuses = receiver.statuses()
    assert [status["status"] for status in statuses] == ["sent", "delivered", "read"]
    assert {status["recipient_user_id"] for status in statuses} == {user_id}
    assert all("recipient_id" not in status for status in statuses)
    assert len(simulator.control(f"/chat/{MARIA}").json["messages"]) == 2


def test_a_message_to_the_number_shows_it_again_for_30_days(
    simulator: Client, receiver: Receiver
) -> None:
    simulator.settings(hidden_share=1, service_window=False)
    simulator.send()
    simulator.write()
    simulator.control("/clock", {"advance_s": 31 * 86_400})
    simulator.write()
    simulator.wait_until_idle()
    assert [message.get("from") for message in receiver.messages()] == [MARIA, None]


def test_an_authentication_template_to_a_user_id_is_refused(simulator: Client) -> None:
    parts = [{"type": "BODY", "text": "Seu código"}]
    new = {"name": "codigo", "category": "AUTHENTICATION", "components": parts}
    assert simulator.control("/templates", new).status == 200
    template = {"name": "codigo", "language": {"code": "pt_BR"}}
    answer = send_to_user(simulator, "BR.15025", type="template", template=template)
    assert answer.json["error"]["code"] == 131062


def test_the_sender_cannot_be_the_recipient(simulator: Client) -> None:
    assert simulator.send("551140001234").json["error"]["code"] == 131021


def test_the_tier_limits_unique_users_in_a_rolling_day(simulator: Client) -> None:
    simulator.settings(tier_limit=2)
    people = [f"551198765{n}" for n in (1001, 1002, 1003)]
    assert [send_template(simulator, to) for to in people] == [0, 0, 131048]
    assert send_template(simulator, people[0]) == 0, "who was reached costs nothing more"
    simulator.write(people[2])
    assert send_template(simulator, people[2]) == 0, "an open window costs nothing"
    assert simulator.summary()["people_reached_in_24_h"] == 2
    phone = simulator.graph(f"/{PHONE}?fields=whatsapp_business_manager_messaging_limit").json
    assert phone["whatsapp_business_manager_messaging_limit"] == "TIER_250"
    assert send_template(simulator, "5511987651004") == 131048
    simulator.control("/clock", {"advance_s": 86_401})
    assert send_template(simulator, "5511987651004") == 0


def test_the_pair_limit_allows_one_more_message_every_six_seconds(simulator: Client) -> None:
    simulator.settings(pair_limit=True, service_window=False)
    codes = [simulator.send().json.get("error", {}).get("code", 0) for _ in range(46)]
    assert codes == [0] * 45 + [131056]
    simulator.control("/clock", {"advance_s": 6.1})
    assert [simulator.send().status for _ in range(2)] == [200, 400]


def test_the_service_window_closes_after_24_hours(simulator: Client) -> None:
    simulator.settings(sync_131047=True)
    simulator.write()
    assert simulator.send().status == 200
    simulator.control("/clock", {"advance_s": 86_401})
    assert simulator.send().json["error"]["code"] == 131047


def test_scheduled_statuses_follow_the_clock(simulator: Client, receiver: Receiver) -> None:
    hours = dict.fromkeys(("delivered_min_s", "delivered_max_s", "read_min_s", "read_max_s"), 7200)
    simulator.settings(service_window=False, **hours)
    simulator.send()
    assert simulator.summary()["webhooks_pending"] >= 2
    simulator.control("/clock", {"advance_s": 7200})
    simulator.wait_until_idle()
    sent, delivered, read = receiver.statuses()
    assert int(delivered["timestamp"]) - int(sent["timestamp"]) in (7199, 7200, 7201)
    assert [s["status"] for s in (sent, delivered, read)] == ["sent", "delivered", "read"]


def test_a_reaction_to_an_unknown_message_fails_later(
    simulator: Client, receiver: Receiver
) -> None:
    simulator.settings(service_window=False)
    simulator.send(type="reaction", reaction={"message_id": "wamid.nothing", "emoji": "👍"})
    known = simulator.write()
    simulator.send(type="reaction", reaction={"message_id": known, "emoji": "👍"})
    simulator.wait_until_idle()
    reported = [(s["status"], s.get("errors", [{}])[0].get("code")) for s in receiver.statuses()]
    assert sorted(reported, key=str) == [("failed", 131009), ("sent", None)]


def test_held_messages_are_delayed_and_may_be_dropped(
    simulator: Client, receiver: Receiver
) -> None:
    simulator.settings(held_share=1, held_s=3600, held_dropped=1)
    answer = simulator.send(type="template", template=BOAS_VINDAS)
    assert answer.json["messages"][0]["message_status"] == "held_for_quality_assessment"
    assert receiver.statuses() == []
    simulator.control("/clock", {"advance_s": 3600})
    simulator.wait_until_idle()
    [status] = receiver.statuses()
    assert (status["status"], status["errors"][0]["code"]) == ("failed", 132015)


def test_a_template_is_created_reviewed_edited_and_deleted(
    simulator: Client, receiver: Receiver
) -> None:
    def call(method: str, path: str, body: Any = None) -> Any:
        bearer = f"Bearer {TOKEN}"
        return simulator.request(method, f"/v25.0/{path}", body, Authorization=bearer)

    simulator.settings(review_s=60)
    parts = [{"type": "BODY", "text": "Oi, {{1}}", "example": {"body_text": [["Ana"]]}}]
    new = {"name": "oi_ana", "language": "pt_BR", "category": "UTILITY", "components": parts}
    created = call("POST", f"{ACCOUNT}/message_templates", new).json
    assert (created["status"], created["category"]) == ("PENDING", "UTILITY")
    assert call("POST", f"{ACCOUNT}/message_templates", new).json["error"]["code"] == 100
    simulator.control("/clock", {"advance_s": 60})
    simulator.wait_until_idle()
    edited = [{"type": "BODY", "text": "Olá, {{1}}"}]
    assert call("POST", created["id"], {"components": edited}).json == {"success": True}
    assert simulator.graph(f"/{created['id']}").json["status"] == "PENDING"
    deleted = call("DELETE", f"{ACCOUNT}/message_templates?name=oi_ana")
    assert deleted.json == {"success": True}
    simulator.control("/clock", {"advance_s": 60})
    simulator.wait_until_idle()
    changes = [post.json["entry"][0]["changes"][0] for post in receiver.received]
    status = "message_template_status_update"
    events = [change["value"]["event"] for change in changes if change["field"] == status]
    assert sorted(events) == ["APPROVED", "DELETED", "PENDING"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": "Com Espaço"}, "name"),
        ({"components": [{"type": "FOOTER", "text": "a"}]}, "components.BODY"),
        ({"components": [{"type": "BODY", "text": "a" * 1025}]}, "components.BODY.text"),
    ],
)
def test_a_new_template_keeps_the_limits(
    simulator: Client, change: dict[str, Any], field: str
) -> None:
    good = {"name": "a", "language": "pt_BR", "category": "UTILITY", "components": []}
    path = f"/v25.0/{ACCOUNT}/message_templates"
    bearer = f"Bearer {TOKEN}"
    answer = simulator.request("POST", path, {**good, **change}, Authorization=bearer)
    assert field in answer.json["error"]["error_data"]["details"]


def test_management_calls_are_counted_reported_and_limited(simulator: Client) -> None:
    simulator.settings(management_calls_per_h=2)
    codes = [simulator.graph(f"/{PHONE}").json.get("error", {}).get("code") for _ in range(3)]
    assert codes == [None, None, 80007]
    assert simulator.send().status == 200, "messages are another limit"
    calls = simulator.control("/calls").json["calls"]
    assert [call["status"] for call in calls] == [200, 200, 400]
    assert calls[0]["headers"]["Authorization"] == f"Bearer {TOKEN}"
