"""Templates: sending, parameters and listing."""

from typing import Any

import pytest

from .conftest import ACCOUNT, Answer, Client, Receiver


def send(simulator: Client, name: str, *values: str, names: tuple[str, ...] = ()) -> Answer:
    parameters: list[dict[str, Any]] = [{"type": "text", "text": value} for value in values]
    for parameter, given in zip(parameters, names, strict=False):
        parameter["parameter_name"] = given
    components = [{"type": "body", "parameters": parameters}] if values else []
    template = {"name": name, "language": {"code": "pt_BR"}, "components": components}
    return simulator.send(type="template", template=template)


def code_of(answer: Answer) -> int:
    return int(answer.json["error"]["code"])


def test_an_approved_template_is_accepted_with_message_status(simulator: Client) -> None:
    answer = send(simulator, "lembrete_fatura", "Maria", "10/12")
    assert answer.json["messages"][0]["message_status"] == "accepted"


@pytest.mark.parametrize("name", ["nenhum", "aviso_manutencao", "oferta_relampago"])
def test_a_missing_or_unapproved_template_is_132001(simulator: Client, name: str) -> None:
    answer = send(simulator, name, "Maria")
    assert (answer.status, code_of(answer)) == (404, 132001)


@pytest.mark.parametrize("values", [(), ("Maria",), ("Maria", "10/12", "mais")])
def test_a_wrong_number_of_parameters_is_132000(simulator: Client, values: tuple[str, ...]) -> None:
    assert code_of(send(simulator, "lembrete_fatura", *values)) == 132000


def test_a_named_template_needs_parameter_names(simulator: Client) -> None:
    assert send(simulator, "boas_vindas", "Maria", names=("nome",)).status == 200
    assert code_of(send(simulator, "boas_vindas", "Maria", names=("outro",))) == 132012
    assert code_of(send(simulator, "boas_vindas", "Maria")) == 132012


def test_a_new_line_in_a_parameter_is_refused(simulator: Client) -> None:
    assert code_of(send(simulator, "promocao_fibra", "Maria\nSouza")) == 132018


def test_a_rendered_body_above_1024_characters_is_132005(simulator: Client) -> None:
    assert code_of(send(simulator, "promocao_fibra", "a" * 1024)) == 132005


@pytest.mark.parametrize(("status", "code"), [("PAUSED", 132015), ("DISABLED", 132016)])
def test_a_stopped_template_is_refused_and_reported_by_webhook(
    simulator: Client, receiver: Receiver, status: str, code: int
) -> None:
    simulator.control("/templates", {"name": "promocao_fibra", "status": status})
    assert code_of(send(simulator, "promocao_fibra", "Maria")) == code
    simulator.wait_until_idle()
    [change] = receiver.received[0].json["entry"][0]["changes"]
    assert change["field"] == "message_template_status_update"
    assert change["value"]["event"] == status
    assert change["value"]["message_template_name"] == "promocao_fibra"


def test_a_template_with_a_url_placeholder_needs_a_button_parameter(simulator: Client) -> None:
    button = {"type": "URL", "text": "Abrir", "url": "https://e.com/{{1}}"}
    parts = [{"type": "BODY", "text": "Oi"}, {"type": "BUTTONS", "buttons": [button]}]
    assert simulator.control("/templates", {"name": "novo", "components": parts}).status == 200
    assert code_of(send(simulator, "novo")) == 131008


def put_template(simulator: Client, name: str, *parts: dict[str, Any]) -> None:
    components = [{"type": "BODY", "text": "Oi"}, *parts]
    assert simulator.control("/templates", {"name": name, "components": components}).status == 200


@pytest.mark.parametrize("kind", ["FLOW", "CATALOG", "MPM", "COPY_CODE", "OTP"])
def test_a_button_that_needs_a_parameter_is_refused_without_one(
    simulator: Client, kind: str
) -> None:
    put_template(simulator, "com_botao", {"type": "BUTTONS", "buttons": [{"type": kind}]})
    assert code_of(send(simulator, "com_botao")) == 131008


@pytest.mark.parametrize("kind", ["CAROUSEL", "LIMITED_TIME_OFFER"])
def test_cards_and_offers_are_refused_when_they_are_not_filled(
    simulator: Client, kind: str
) -> None:
    put_template(simulator, "especial", {"type": kind})
    assert code_of(send(simulator, "especial")) == 131008


@pytest.mark.parametrize(
    ("button", "sub_type", "parameter"),
    [
        ({"type": "COPY_CODE"}, "copy_code", {"type": "coupon_code", "coupon_code": "A" * 21}),
        (
            {"type": "URL", "url": "https://a.b/{{1}}"},
            "url",
            {"type": "text", "text": "https://a.b/c"},
        ),
    ],
)
def test_a_long_coupon_and_a_whole_url_are_refused(
    simulator: Client, button: dict[str, Any], sub_type: str, parameter: dict[str, Any]
) -> None:
    put_template(simulator, "com_valor", {"type": "BUTTONS", "buttons": [button]})
    component = {"type": "button", "sub_type": sub_type, "index": "0", "parameters": [parameter]}
    template = {"name": "com_valor", "language": {"code": "pt_BR"}, "components": [component]}
    assert code_of(simulator.send(type="template", template=template)) == 131009


def test_paging_returns_every_template(simulator: Client) -> None:
    path, names = f"/{ACCOUNT}/message_templates?limit=2", []
    while path:
        page = simulator.graph(path).json
        names += [template["name"] for template in page["data"]]
        path = page["paging"].get("next", "").partition("/v25.0")[2]
    assert len(names) == len(set(names)) == 5


def test_templates_are_filtered_by_status_and_name(simulator: Client) -> None:
    def names(query: str) -> list[str]:
        listing = simulator.graph(f"/{ACCOUNT}/message_templates?{query}").json
        return [template["name"] for template in listing["data"]]

    assert names("status=rejected") == ["oferta_relampago"]
    assert names("name=boas_vindas&fields=name") == ["boas_vindas"]


def test_an_invalid_cursor_is_answered_as_expired(simulator: Client) -> None:
    assert code_of(simulator.graph(f"/{ACCOUNT}/message_templates?after=abc")) == 131059
