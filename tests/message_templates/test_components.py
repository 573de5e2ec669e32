from __future__ import annotations

import pytest
from flask import Flask

from chatbot.campaigns.parameters import check_parameters, parse_parameters
from chatbot.channels.whatsapp.payloads import template_body
from chatbot.channels.whatsapp.payloads.template_parts import (
    BUTTON_TYPES,
    COMPONENT_TYPES,
    list_unfillable_parts,
)
from chatbot.core.errors import InvalidInput
from chatbot.message_templates.components import (
    PreviewButton,
    list_optional_parameters,
    list_parameters,
    render_preview,
    render_text,
)
from chatbot.message_templates.labels import PARTS
from chatbot.message_templates.models import MessageTemplate
from chatbot.message_templates.service import check_usable

WHOLE = [
    {"type": "HEADER", "format": "TEXT", "text": "Fatura de {{1}}"},
    {"type": "BODY", "text": "Olá {{1}}, vence {{2}}. {{1}}!"},
    {"type": "FOOTER", "text": "SAIR para parar"},
    {
        "type": "BUTTONS",
        "buttons": [
            {"type": "QUICK_REPLY", "text": "Paguei"},
            {"type": "URL", "text": "Ver", "url": "https://a.b/{{1}}"},
            {"type": "URL", "text": "Site", "url": "https://a.b/"},
            {"type": "COPY_CODE", "text": "Copiar"},
            {"type": "PHONE_NUMBER", "text": "Ligar"},
        ],
    },
]


def test_header_body_and_buttons_list_their_parameters() -> None:
    assert list_parameters(WHOLE) == ["header:1", "1", "2", "button:1", "button:3"]
    assert list_optional_parameters(WHOLE) == ["button:0"]
    assert list_parameters([{"type": "HEADER", "format": "IMAGE"}]) == ["header:image"]


def test_a_preview_fills_each_part_with_its_own_values() -> None:
    values = {"header:1": "maio", "1": "Ana", "2": "10/12", "button:1": "f/9"}
    shown = render_preview(WHOLE, values)
    assert (shown.header, shown.body) == ("Fatura de maio", "Olá Ana, vence 10/12. Ana!")
    assert shown.buttons[1] == PreviewButton("URL", "Ver", "https://a.b/f/9")
    assert render_text(WHOLE, {}).startswith("Fatura de {{1}}\n\nOlá {{1}}, vence {{2}}")


def test_the_command_line_names_header_and_buttons() -> None:
    given = parse_parameters(
        ["header:1=text:maio", "1=field:name", "2=text:a=b", "button:1=text:f/9", "button:3=text:X"]
    )
    assert given["2"] == "text:a=b"
    check_parameters(WHOLE, given)
    with pytest.raises(InvalidInput, match="header:1"):
        check_parameters(WHOLE, {"1": "field:name"})
    with pytest.raises(InvalidInput, match="button:4"):
        check_parameters(WHOLE, given | {"button:4": "text:x"})


@pytest.mark.parametrize("value", ["foto.jpg", "http://a.b/c.jpg", "ftp://a.b/c"])
def test_a_header_file_is_a_public_link_or_an_upload(value: str) -> None:
    check_parameters([{"type": "HEADER", "format": "IMAGE"}], {"header:image": "text:1234567"})
    with pytest.raises(InvalidInput, match="https://"):
        check_parameters([{"type": "HEADER", "format": "IMAGE"}], {"header:image": f"text:{value}"})


def test_the_location_of_a_header_is_checked() -> None:
    check_parameters(
        [{"type": "HEADER", "format": "LOCATION"}], {"header:location": "text:-23.5; -46.6; Loja"}
    )
    with pytest.raises(InvalidInput, match="latitude"):
        check_parameters(
            [{"type": "HEADER", "format": "LOCATION"}], {"header:location": "text:São Paulo"}
        )


@pytest.mark.parametrize("value", ["https://a.b/f/9", "HTTP://x", "www.a.b/f"])
def test_a_whole_address_is_no_end_of_a_link(value: str) -> None:
    given = {"header:1": "text:maio", "1": "text:Ana", "2": "text:x", "button:3": "text:ABC"}
    check_parameters(WHOLE, given | {"button:1": "text:f/9?x=1"})
    with pytest.raises(InvalidInput, match="only what comes after it"):
        check_parameters(WHOLE, given | {"button:1": f"text:{value}"})


def test_a_coupon_has_at_most_twenty_characters() -> None:
    given = {"header:1": "text:maio", "1": "text:Ana", "2": "text:x", "button:1": "text:f/9"}
    check_parameters(WHOLE, given | {"button:3": "text:" + "A" * 20})
    with pytest.raises(InvalidInput, match="at most 20 characters; this one has 21"):
        check_parameters(WHOLE, given | {"button:3": "text:" + "A" * 21})


def make_button(kind: str) -> list[dict[str, object]]:
    return [{"type": "BODY", "text": "Oi"}, {"type": "BUTTONS", "buttons": [{"type": kind}]}]


UNFILLABLE = {
    **{kind: make_button(kind) for kind, can_fill in BUTTON_TYPES.items() if not can_fill},
    **{kind: [{"type": kind}] for kind, can_fill in COMPONENT_TYPES.items() if not can_fill},
    "GIF": [{"type": "HEADER", "format": "GIF"}],
    "PRODUCT": [{"type": "header", "format": "product"}],
    "NEW_OF_META": make_button("NEW_OF_META"),
    "NEW_PART": [{"type": "NEW_PART"}],
}


@pytest.mark.parametrize("part", UNFILLABLE)
def test_a_template_with_a_part_that_we_cannot_fill_is_refused_by_its_name(
    app: Flask, part: str
) -> None:
    template = MessageTemplate(name="oferta", status="APPROVED", components=UNFILLABLE[part])
    with pytest.raises(InvalidInput, match=rf"oferta.*\b{part}\b"):
        check_usable(template)
    with pytest.raises(InvalidInput, match=part):
        template_body("oferta", "pt_BR", {}, named=False, components=UNFILLABLE[part])
    assert part.startswith("NEW") or part in PARTS


def test_all_other_parts_of_meta_are_sent() -> None:
    buttons = [{"type": kind} for kind, can_fill in BUTTON_TYPES.items() if can_fill]
    parts = [{"type": kind} for kind, can_fill in COMPONENT_TYPES.items() if can_fill]
    assert list_unfillable_parts([*parts, {"type": "BUTTONS", "buttons": buttons}]) == []
