"""Limits of Meta: each refusal names the field."""

from typing import Any

import pytest

from .conftest import Client

REPLY = {"type": "reply", "reply": {"id": "sim", "title": "Sim"}}
ROW = {"id": "1", "title": "Segunda via"}


def buttons(*items: dict[str, Any], body: str = "Confirma?") -> dict[str, Any]:
    return {"type": "button", "body": {"text": body}, "action": {"buttons": list(items)}}


def button(title: str, button_id: str = "a") -> dict[str, Any]:
    return {"type": "reply", "reply": {"id": button_id, "title": title}}


def rows(*sections: dict[str, Any], label: str = "Ver") -> dict[str, Any]:
    action = {"button": label, "sections": list(sections)}
    return {"type": "list", "body": {"text": "Escolha"}, "action": action}


def url(link: str, text: str = "Abrir") -> dict[str, Any]:
    parameters = {"display_text": text, "url": link}
    action = {"name": "cta_url", "parameters": parameters}
    return {"type": "cta_url", "body": {"text": "Veja"}, "action": action}


def interactive(content: dict[str, Any]) -> dict[str, Any]:
    return {"type": "interactive", "interactive": content}


GOOD = {
    "text of 4096": {"type": "text", "text": {"body": "ç" * 4096}},
    "three buttons": interactive(buttons(button("A", "a"), button("B", "b"), button("C", "c"))),
    "list": interactive(rows({"rows": [{**ROW, "description": "d" * 72}]})),
    "cta_url": interactive(url("https://exemplo.com.br")),
    "image by link": {"type": "image", "image": {"link": "https://e.com/a.png", "caption": "x"}},
    "document by id": {"type": "document", "document": {"id": "77", "filename": "a.pdf"}},
    "audio": {"type": "audio", "audio": {"id": "77"}},
    "video": {"type": "video", "video": {"id": "77"}},
    "location": {"type": "location", "location": {"latitude": -23.5, "longitude": -46.6}},
    "reaction": {"type": "reaction", "reaction": {"message_id": "wamid.x", "emoji": "👍"}},
}
CARD = {"name": {"formatted_name": "Ana", "first_name": "Ana"}, "phones": [{"phone": "1"}]}
GOOD |= {
    "sticker": {"type": "sticker", "sticker": {"id": "77"}},
    "contacts": {"type": "contacts", "contacts": [CARD]},
    "voice": {"type": "audio", "audio": {"id": "77", "voice": True}},
    "location request": interactive(
        {
            "type": "location_request_message",
            "body": {"text": "Onde?"},
            "action": {"name": "send_location"},
        }
    ),
    "contact request": interactive(
        {
            "type": "request_contact_info",
            "body": {"text": "Seu número?"},
            "action": {"name": "request_contact_info"},
        }
    ),
}
BAD: dict[str, tuple[dict[str, Any], str]] = {
    "contact without a part of a name": (
        {"type": "contacts", "contacts": [{"name": {"formatted_name": "Ana"}}]},
        "contacts[0].name.first_name",
    ),
    "no contact": ({"type": "contacts", "contacts": []}, "contacts"),
    "caption of a sticker": (
        {"type": "sticker", "sticker": {"id": "1", "caption": "a"}},
        "sticker.caption",
    ),
    "voice of an image": ({"type": "image", "image": {"id": "1", "voice": True}}, "image.voice"),
    "media without https": (
        {"type": "image", "image": {"link": "http://e.com/a.png"}},
        "image.link",
    ),
    "nameless action": (
        interactive({"type": "flow", "body": {"text": "a"}, "action": {}}),
        "interactive.action.name",
    ),
    "empty text": ({"type": "text", "text": {"body": ""}}, "text.body"),
    "blank text": ({"type": "text", "text": {"body": " \n"}}, "text.body"),
    "long text": ({"type": "text", "text": {"body": "a" * 4097}}, "text.body"),
    "no object": ({"type": "text", "text": None}, "text"),
    "no body": ({"type": "text", "text": {}}, "text.body"),
    "unknown type": ({"type": "fax"}, "type"),
    "four buttons": (
        interactive(buttons(*(button(f"B{n}", str(n)) for n in range(4)))),
        "interactive.action.buttons",
    ),
    "no button": (interactive(buttons()), "interactive.action.buttons"),
    "long title": (interactive(buttons(button("a" * 21))), "buttons[0].reply.title"),
    "same title": (interactive(buttons(button("A", "1"), button("A", "2"))), "buttons"),
    "same id": (interactive(buttons(button("A"), button("B"))), "buttons"),
    "long body": (interactive(buttons(REPLY, body="a" * 1025)), "interactive.body.text"),
    "long footer": (
        interactive({**buttons(REPLY), "footer": {"text": "a" * 61}}),
        "interactive.footer.text",
    ),
    "header without content": (
        interactive({**buttons(REPLY), "header": {"type": "image"}}),
        "interactive.header.image",
    ),
    "eleven rows": (
        interactive(
            rows(
                {"title": "A", "rows": [{"id": f"a{n}", "title": "x"} for n in range(6)]},
                {"title": "B", "rows": [{"id": f"b{n}", "title": "x"} for n in range(5)]},
            )
        ),
        "interactive.action.sections",
    ),
    "section without title": (
        interactive(rows({"rows": [ROW]}, {"title": "B", "rows": [{**ROW, "id": "2"}]})),
        "sections[0].title",
    ),
    "long row title": (interactive(rows({"rows": [{**ROW, "title": "a" * 25}]})), "rows[0].title"),
    "long description": (
        interactive(rows({"rows": [{**ROW, "description": "a" * 73}]})),
        "rows[0].description",
    ),
    "long list label": (interactive(rows({"rows": [ROW]}, label="a" * 21)), "action.button"),
    "cta without url": (interactive(url("ftp://x")), "interactive.action.parameters.url"),
    "unknown interactive": (interactive({"type": "fluxo"}), "interactive.type"),
    "id and link": ({"type": "image", "image": {"id": "1", "link": "https://e.com"}}, "image"),
    "neither": ({"type": "image", "image": {}}, "image"),
    "long caption": (
        {"type": "image", "image": {"id": "1", "caption": "a" * 1025}},
        "image.caption",
    ),
    "caption of audio": ({"type": "audio", "audio": {"id": "1", "caption": "a"}}, "audio.caption"),
    "latitude": (
        {"type": "location", "location": {"latitude": 91, "longitude": 0}},
        "location.latitude",
    ),
    "long callback": (
        {"type": "text", "text": {"body": "a"}, "biz_opaque_callback_data": "a" * 513},
        "biz_opaque_callback_data",
    ),
    "letters in to": ({"type": "text", "text": {"body": "a"}, "to": "maria"}, "to"),
    "no recipient": ({"type": "text", "text": {"body": "a"}, "to": None}, "to"),
    "number as to": ({"type": "text", "text": {"body": "a"}, "to": 5511987651234}, "to"),
}


@pytest.mark.parametrize("name", GOOD)
def test_what_meta_allows_is_accepted(simulator: Client, name: str) -> None:
    answer = simulator.send(**GOOD[name])
    assert answer.status == 200, answer.body


@pytest.mark.parametrize("name", BAD)
def test_a_broken_limit_is_refused_and_named(simulator: Client, name: str) -> None:
    message, field = BAD[name]
    body = {"messaging_product": "whatsapp", "to": "5511987651234", **message}
    answer = simulator.post_message(body)
    error = answer.json["error"]
    assert answer.status == 400
    assert error["code"] in (100, 131008, 131009)
    assert f"{field} " in error["error_data"]["details"]
    assert error["fbtrace_id"]


def test_a_missing_field_is_131008(simulator: Client) -> None:
    assert simulator.post_message({"to": "5511987651234"}).json["error"]["code"] == 131008


def test_broken_json_is_refused_and_logged_as_text(simulator: Client) -> None:
    assert simulator.post_message(b'{"to": 1, oops').json["error"]["code"] == 100
    [entry] = simulator.control("/log").json["entries"]
    assert entry["body"] == '{"to": 1, oops'
    assert entry["accepted"] is False


def test_the_body_decides_which_of_two_errors_is_returned(simulator: Client) -> None:
    def code_of(text: str) -> tuple[int, str]:
        body = {"messaging_product": "whatsapp", "to": "x", "type": "text", "text": {"body": text}}
        error = simulator.post_message(body).json["error"]
        return error["code"], error["error_data"]["details"].split()[1]

    reported = [code_of("a" * length) for length in range(4100, 4120)]
    assert {field for _, field in reported} == {"to", "text.body"}
    assert reported == [code_of("a" * length) for length in range(4100, 4120)]
