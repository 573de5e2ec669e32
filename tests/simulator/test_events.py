"""Events of users and of the account: their webhooks, and their effect on later messages."""

from typing import Any

from .conftest import MARIA, Client, Receiver, wait_for
from .test_platform import BOAS_VINDAS

NEW = "5511912345678"


def post_event(simulator: Client, **event: Any) -> Any:
    answer = simulator.control("/events", event)
    assert answer.status == 200, answer.body
    return answer.json


def test_a_changed_number_makes_the_old_one_undeliverable(
    simulator: Client, receiver: Receiver
) -> None:
    simulator.settings(service_window=False)
    post_event(simulator, event="number_changed", **{"from": MARIA}, to=NEW)
    simulator.send()
    simulator.send(NEW)
    simulator.wait_until_idle()
    [message] = receiver.messages()
    assert (message["from"], message["system"]["wa_id"]) == (MARIA, NEW)
    assert message["system"]["type"] == "user_changed_number"
    ends = {s.get("recipient_id"): s["status"] for s in receiver.statuses()}
    assert ends == {MARIA: "failed", NEW: "read"}
    receiver.received.clear()
    post_event(simulator, event="number_changed", **{"from": NEW}, to=MARIA)
    simulator.send()
    simulator.wait_until_idle()
    assert receiver.statuses()[-1]["status"] == "read", "the old number may come back"


def test_a_changed_user_id_is_sent_with_the_previous_one(
    simulator: Client, receiver: Receiver
) -> None:
    simulator.write()
    ids = post_event(simulator, event="user_id_changed", **{"from": MARIA})
    simulator.write()
    simulator.wait_until_idle()
    texts = {m["from_user_id"] for m in receiver.messages() if m["type"] == "text"}
    assert texts == {ids["previous_user_id"], ids["user_id"]}
    [change] = [m["system"] for m in receiver.messages() if m["type"] == "system"]
    assert (change["user_id"], change["previous_user_id"]) == (
        ids["user_id"],
        ids["previous_user_id"],
    )


def test_marketing_fails_from_stop_until_resume(simulator: Client, receiver: Receiver) -> None:
    marketing = {"name": "promocao_fibra", "language": {"code": "pt_BR"}}
    body = {"type": "body", "parameters": [{"type": "text", "text": "Maria"}]}
    for value, end in (("stop", "failed"), ("resume", "read")):
        receiver.received.clear()
        post_event(simulator, event="marketing_choice", **{"from": MARIA}, value=value)
        simulator.send(type="template", template={**marketing, "components": [body]})
        simulator.wait_until_idle()
        preferences = [v["user_preferences"] for p in receiver.received for v in p.values()
                       if "user_preferences" in v]  # fmt: skip
        assert preferences[0][0]["value"] == value
        assert receiver.statuses()[-1]["status"] == end
    utility = simulator.send(type="template", template=BOAS_VINDAS)
    assert utility.status == 200


def test_a_restricted_account_sends_no_templates_and_a_disabled_one_nothing(
    simulator: Client, receiver: Receiver
) -> None:
    def codes() -> list[int]:
        answers = (simulator.send(type="template", template=BOAS_VINDAS), simulator.send())
        return [answer.json.get("error", {}).get("code", 0) for answer in answers]

    simulator.settings(service_window=False)
    found = {}
    for name in ("restricted", "disabled", "reinstated"):
        post_event(simulator, event="account", name=name)
        found[name] = codes()
    assert found == {"restricted": [368, 0], "disabled": [131031, 131031], "reinstated": [0, 0]}
    simulator.wait_until_idle()
    entries = [post.json["entry"][0] for post in receiver.received]
    reported = [e["changes"][0]["value"].get("event") for e in entries if "time" in e]
    assert sorted(reported) == ["ACCOUNT_RESTRICTION", "DISABLED_UPDATE", "DISABLED_UPDATE"]


def test_every_account_event_and_any_other_field_is_sent(
    simulator: Client, receiver: Receiver
) -> None:
    names = simulator.control("/events").json["account"]
    for name in names:
        post_event(simulator, event="account", name=name)
    post_event(simulator, event="field", field="flows", value={"flow_id": "1"})
    post_event(simulator, event="error", code=130429)
    simulator.wait_until_idle()
    changes = [change for post in receiver.received for change in post.json["entry"][0]["changes"]]
    assert len(changes) == len(names) + 2
    assert {"flows", "security", "account_alerts"} <= {change["field"] for change in changes}
    errors = [c["value"]["errors"][0]["code"] for c in changes if "errors" in c["value"]]
    assert errors == [130429]


def test_an_event_that_does_not_exist_is_refused_by_name(simulator: Client) -> None:
    for event, expected in (
        ({"event": "rain"}, "rain"),
        ({"event": "account", "name": "rain"}, "rain"),
        ({"event": "error", "code": 7}, "code"),
    ):
        answer = simulator.control("/events", event)
        assert (answer.status, expected in answer.json["error"]) == (400, True)


def test_an_outage_ends_after_its_seconds(simulator: Client, receiver: Receiver) -> None:
    simulator.control("/outage", {"seconds": 0.6})
    simulator.write()
    assert simulator.summary()["webhooks_held"] is True
    assert receiver.received == []
    wait_for(lambda: receiver.messages())
    assert simulator.summary()["webhooks_held"] is False


def test_messages_share_posts_with_statuses(simulator: Client, receiver: Receiver) -> None:
    simulator.settings(service_window=False, mix_inbound=True, batch_window_ms=300, batch_size=100)
    people = [f"55119876512{n}" for n in range(10, 30)]
    half = [{"from": MARIA, "text": "Oi"}, {"from": "x", "text": "Oi"}]
    assert simulator.control("/inbound/burst", half).status == 400, "all are written, or none"
    simulator.control("/inbound/burst", [{"from": number, "text": "Oi"} for number in people])
    for number in people:
        simulator.send(number)
    simulator.wait_until_idle()
    assert len(receiver.messages()) == 20
    assert len(receiver.statuses()) == 60
    kinds = [{"messages" in v for v in post.values()} for post in receiver.received]
    assert {True, False} in kinds, "one POST has both"


def test_a_webhook_can_be_duplicated_or_wrongly_signed(
    simulator: Client, receiver: Receiver
) -> None:
    simulator.settings(duplicate_webhook=1)
    simulator.write()
    simulator.wait_until_idle()
    first, second = receiver.received
    assert (first.body, first.signature) == (second.body, second.signature)
    simulator.settings(duplicate_webhook=0)
    receiver.received.clear()
    receiver.answers += [403] * 4
    for signature in ("wrong", "missing", "upper", "truncated"):
        simulator.control("/webhook", {"body": {"entry": []}, "signature": signature})
    simulator.wait_until_idle()
    assert len(receiver.received) == 4, "a spoilt one is not repeated"
    assert len({post.signature for post in receiver.received}) == 4
