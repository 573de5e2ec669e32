"""Message bodies: refused where Meta would refuse them, and otherwise accepted by the simulator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from chatbot.channels.whatsapp.payloads import (
    ListRow,
    ListSection,
    MediaKind,
    buttons_body,
    link_button_body,
    list_body,
    location_body,
    media_body,
    render_read_receipt,
    render_request,
    template_body,
    text_body,
    with_media_id,
)
from chatbot.core.errors import InvalidInput
from chatbot.simulator.messages.validation import parse_message

PUBLIC = "https://example.com/foto.jpg"


def rows(count: int, **changes: str) -> list[ListRow]:
    return [ListRow(**{"id": f"r{n}", "title": f"Linha {n}", **changes}) for n in range(count)]


ACCEPTED_BODIES: dict[str, Callable[[], dict[str, Any]]] = {
    "text": lambda: text_body("ç" * 4096),
    "buttons": lambda: buttons_body(
        "x" * 1024,
        [("a" * 256, "t" * 20), ("b", "Não"), ("c", "Talvez")],
        header="h" * 60,
        footer="f" * 60,
    ),
    "list": lambda: list_body(
        "x" * 4096,
        "b" * 20,
        [
            ListSection([ListRow("i" * 200, "t" * 24, "d" * 72)], "s" * 24),
            ListSection(rows(9), "Outras"),
        ],
    ),
    "list of one section": lambda: list_body("Escolha", "Abrir", [ListSection(rows(10))]),
    "link": lambda: link_button_body("Sua fatura", "Pagar agora", "https://example.com/p?x=1"),
    "image by link": lambda: media_body(MediaKind.IMAGE, link=PUBLIC, caption="c" * 1024),
    "document by id": lambda: media_body(
        MediaKind.DOCUMENT, media_id="1234", file_name="boleto.pdf", caption="Boleto"
    ),
    "audio by id": lambda: media_body(MediaKind.AUDIO, media_id="1234", file_name="a.ogg"),
    "location": lambda: location_body(-23.55, -46.63, name="Loja", address="Praça da Sé, 1"),
    "template": lambda: template_body("aviso", "pt_BR", {"2": "b", "1": "a"}, named=False),
}


@pytest.mark.parametrize("kind", ACCEPTED_BODIES)
def test_a_body_at_its_limits_is_accepted_by_the_simulator(kind: str) -> None:
    request = render_request(ACCEPTED_BODIES[kind](), "5511987650001", "m:1:1")
    parse_message(msgspec.json.encode(request))


REFUSED_BODIES: dict[str, tuple[Callable[[], object], str]] = {
    "empty text": (lambda: text_body(" \n"), "empty"),
    "4,097 characters": (lambda: text_body("x" * 4097), "4097 characters; WhatsApp accepts at most 4096"),
    "no button": (lambda: buttons_body("x", []), "from 1 to 3"),
    "four buttons": (lambda: buttons_body("x", [(str(n), str(n)) for n in range(4)]), "from 1 to 3"),
    "a long button": (lambda: buttons_body("x", [("a", "t" * 21)]), "21 characters.*at most 20"),
    "a long button id": (lambda: buttons_body("x", [("a" * 257, "t")]), "at most 256"),
    "two alike": (lambda: buttons_body("x", [("a", "Sim"), ("b", "Sim")]), "twice"),
    "ids alike": (lambda: buttons_body("x", [("a", "Sim"), ("a", "Não")]), "twice"),
    "text beside buttons": (lambda: buttons_body("x" * 1025, [("a", "Sim")]), "at most 1024"),
    "a long header": (lambda: buttons_body("x", [("a", "Sim")], header="h" * 61), "at most 60"),
    "a long footer": (lambda: buttons_body("x", [("a", "Sim")], footer="f" * 61), "at most 60"),
    "a row title of 25": (
        lambda: list_body("x", "Abrir", [ListSection(rows(1, title="t" * 25))]),
        "25 characters; WhatsApp accepts at most 24",
    ),
    "a row text of 73": (
        lambda: list_body("x", "Abrir", [ListSection(rows(1, description="d" * 73))]),
        "at most 72",
    ),
    "a row id of 201": (lambda: list_body("x", "A", [ListSection(rows(1, id="i" * 201))]), "at most 200"),
    "eleven rows": (
        lambda: list_body("x", "A", [ListSection(rows(6), "um"), ListSection(rows(5), "dois")]),
        "has 11 rows; WhatsApp accepts 1 to 10",
    ),
    "eleven sections": (
        lambda: list_body("x", "A", [ListSection(rows(1), str(n)) for n in range(11)]),
        "1 to 10 sections",
    ),
    "row ids alike": (lambda: list_body("x", "A", [ListSection(rows(2, id="i"))]), "twice"),
    "an untitled section": (
        lambda: list_body("x", "A", [ListSection(rows(1), "um"), ListSection([ListRow("z", "z")])]),
        "empty",
    ),
    "a section without rows": (
        lambda: list_body("x", "A", [ListSection(rows(1), "um"), ListSection([], "dois")]),
        "no rows",
    ),
    "a long list button": (lambda: list_body("x", "b" * 21, [ListSection(rows(1))]), "at most 20"),
    "no link": (lambda: link_button_body("x", "Pagar", "javascript:alert(1)"), "https://example"),
    "a link with a blank": (lambda: link_button_body("x", "Pagar", "https://a.b/c d"), "spaces"),
    "an unreadable link": (lambda: link_button_body("x", "Pagar", "http://[::1"), "https://example"),
    "id and link": (lambda: media_body(MediaKind.IMAGE, media_id="1", link=PUBLIC), "not both"),
    "a link without TLS": (lambda: media_body(MediaKind.IMAGE, link="http://a.b/c"), "https://"),
    "a long caption": (lambda: media_body(MediaKind.IMAGE, media_id="1", caption="c" * 1025), "1024"),
    "a sound with words": (lambda: media_body(MediaKind.AUDIO, media_id="1", caption="x"), "no text"),
    "off the globe": (lambda: location_body(91, 0), "between -90 and 90"),
    "not a number": (lambda: location_body(float("nan"), 0), "between -90 and 90"),
    "a button that is not there": (
        lambda: template_body("a", "pt_BR", {"button:0": "x"}, named=False),
        "no button 0",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED_BODIES)
def test_a_body_above_its_limits_is_refused_with_the_limit(kind: str) -> None:
    build, sentence = REFUSED_BODIES[kind]
    with pytest.raises(InvalidInput, match=sentence) as refusal:
        build()
    assert refusal.value.field
    assert refusal.value.status == 422


def test_a_template_is_filled_in_all_its_parts() -> None:
    components = [
        {
            "type": "BUTTONS",
            "buttons": [{"type": "QUICK_REPLY"}, {"type": "URL"}, {"type": "COPY_CODE"}],
        }
    ]
    values = {
        "nome": "Ana\nLima",
        "header:mes": "maio",
        "button:0": "p",
        "button:1": "f/9",
        "button:2": "X",
    }
    body = template_body("a", "pt_BR", values, named=True, components=components)
    assert body["template"]["components"] == [
        {"type": "header", "parameters": [{"type": "text", "text": "maio", "parameter_name": "mes"}]},
        {"type": "body", "parameters": [{"type": "text", "text": "Ana Lima", "parameter_name": "nome"}]},
        {"type": "button", "sub_type": "quick_reply", "index": "0",
         "parameters": [{"type": "payload", "payload": "p"}]},
        {"type": "button", "sub_type": "url", "index": "1", "parameters": [{"type": "text", "text": "f/9"}]},
        {"type": "button", "sub_type": "copy_code", "index": "2",
         "parameters": [{"type": "coupon_code", "coupon_code": "X"}]},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("values", "parameter"),
    [
        ({"header:image": PUBLIC}, {"type": "image", "image": {"link": PUBLIC}}),
        ({"header:document": "77"}, {"type": "document", "document": {"id": "77"}}),
        (
            {"header:location": "-23.5; -46.6; Loja"},
            {
                "type": "location",
                "location": {"latitude": -23.5, "longitude": -46.6, "name": "Loja"},
            },
        ),
    ],
)
def test_a_header_may_be_a_file_or_a_location(values: dict[str, str], parameter: Any) -> None:
    body = template_body("a", "pt_BR", values, named=False)
    assert body["template"]["components"] == [{"type": "header", "parameters": [parameter]}]


def test_a_read_receipt_and_typing_are_one_request() -> None:
    for typing in (False, True):
        message = parse_message(msgspec.json.encode(render_read_receipt("wamid.x", typing=typing)))
        assert (message.status, bool(message.typing_indicator)) == ("read", typing)


def test_a_body_that_waited_for_its_upload_gets_the_media_id() -> None:
    waiting = media_body(MediaKind.DOCUMENT, file_name="a.pdf")
    assert with_media_id(waiting, "9")["document"] == {"filename": "a.pdf", "id": "9"}
    assert "id" not in waiting["document"]
