from __future__ import annotations

import pytest

from chatbot.campaigns.parameters import check_parameters, parse_parameters
from chatbot.core.errors import InvalidInput
from chatbot.message_templates.components import (
    PreviewButton,
    list_optional_parameters,
    list_parameters,
    render_preview,
    render_text,
)

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
    check_parameters(list_parameters(WHOLE), given, list_optional_parameters(WHOLE))
    with pytest.raises(InvalidInput, match="header:1"):
        check_parameters(list_parameters(WHOLE), {"1": "field:name"})
    with pytest.raises(InvalidInput, match="button:4"):
        check_parameters(list_parameters(WHOLE), given | {"button:4": "text:x"})


@pytest.mark.parametrize("value", ["foto.jpg", "http://a.b/c.jpg", "ftp://a.b/c"])
def test_a_header_file_is_a_public_link_or_an_upload(value: str) -> None:
    check_parameters(["header:image"], {"header:image": "text:1234567"})
    with pytest.raises(InvalidInput, match="https://"):
        check_parameters(["header:image"], {"header:image": f"text:{value}"})


def test_the_location_of_a_header_is_checked() -> None:
    check_parameters(["header:location"], {"header:location": "text:-23.5; -46.6; Loja"})
    with pytest.raises(InvalidInput, match="latitude"):
        check_parameters(["header:location"], {"header:location": "text:São Paulo"})
