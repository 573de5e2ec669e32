"""Phone page and control page in a real browser."""

import base64
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page

from tests.support.browser import launch_chromium

from .conftest import MARIA, Client, Receiver

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGNgYPj/HwADAgH/p+FUpQAAAABJRU5ErkJggg=="
)
PORTUGUESE = re.compile(r"[ãõáéíóúâêôç]|\b(de|da|do|por|para|não|sem)\b", re.IGNORECASE)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.xdist_group("simulator pages"),
]


@pytest.fixture(scope="module")
def _page() -> Iterator[Page]:
    with launch_chromium() as browser:
        yield browser.new_page(viewport={"width": 390, "height": 844})


@pytest.fixture
def page(_page: Page) -> Iterator[Page]:
    """Yield a page of 390 px width whose console must have no errors."""
    errors: list[str] = []
    _page.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
    _page.on("pageerror", lambda error: errors.append(str(error)))
    yield _page
    assert errors == []


def test_a_customer_chats_taps_a_button_and_picks_from_a_list(
    simulator: Client, receiver: Receiver, page: Page
) -> None:
    page.goto(f"http://127.0.0.1:{simulator.port}/?numero={MARIA}&nome=Maria")
    page.fill("textarea", "Oi <b>você</b>")
    page.keyboard.press("Enter")
    page.wait_for_selector(".inbound .ticks.delivered")
    assert page.inner_text(".inbound .text") == "Oi <b>você</b>"

    reply = {"type": "reply", "reply": {"id": "pix", "title": "Pagar com Pix"}}
    simulator.send(
        type="interactive",
        interactive={
            "type": "button",
            "body": {"text": "*Fatura* de _maio_\n<img src=x> https://e.com/a_b_c."},
            "action": {"buttons": [reply]},
        },
    )
    page.click("text=Pagar com Pix")
    assert page.inner_text(".outbound strong") == "Fatura"
    assert page.locator(".outbound img").count() == 0
    assert page.get_attribute(".outbound .text a", "href") == "https://e.com/a_b_c"
    page.wait_for_selector(".inbound >> nth=1")

    rows = [{"id": "a", "title": "Segunda via"}, {"id": "b", "title": "Sem conexão"}]
    action = {"button": "Ver opções", "sections": [{"rows": rows}]}
    simulator.send(
        type="interactive",
        interactive={"type": "list", "body": {"text": "Algo mais?"}, "action": action},
    )
    page.click("text=Ver opções")
    page.click("dialog >> text=Sem conexão")
    page.click("dialog >> text=Enviar")
    page.wait_for_selector(".inbound >> nth=2")
    simulator.wait_until_idle()
    replies = [message.get("interactive") for message in receiver.messages()]
    assert {"type": "button_reply", "button_reply": reply["reply"]} in replies
    assert {"type": "list_reply", "list_reply": rows[1]} in replies


def test_a_reset_empties_the_open_page(simulator: Client, page: Page) -> None:
    simulator.write()
    page.goto(f"http://127.0.0.1:{simulator.port}/?numero={MARIA}")
    page.wait_for_selector(".bubble")
    simulator.control("/reset", {})
    page.wait_for_selector(".empty")
    assert page.locator(".bubble").count() == 0


def test_the_control_page_changes_settings_and_fits_a_phone(simulator: Client, page: Page) -> None:
    simulator.send()
    page.goto(f"http://127.0.0.1:{simulator.port}/controle")
    page.wait_for_selector("#log tr")
    page.fill("[name=latency_ms]", "25")
    page.click("text=Aplicar")
    page.wait_for_selector("text=Aplicado.")
    assert simulator.control("/settings").json["latency_ms"] == 25
    assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_every_setting_has_a_form_field(simulator: Client, page: Page) -> None:
    page.goto(f"http://127.0.0.1:{simulator.port}/controle")
    page.wait_for_selector("#log tr, #no-log:visible")
    names = page.eval_on_selector_all("#settings [name]", "all => all.map(one => one.name)")
    assert sorted(names) == sorted(simulator.control("/settings").json)


def test_a_customer_sends_a_photo_and_a_place_and_reacts(
    simulator: Client, receiver: Receiver, page: Page
) -> None:
    simulator.settings(service_window=False)
    simulator.send()
    page.goto(f"http://127.0.0.1:{simulator.port}/?numero={MARIA}&nome=Maria")
    page.click(".react")
    page.wait_for_selector(".reaction")
    photo = {"name": "foto.png", "mimeType": "image/png", "buffer": PNG}
    page.set_input_files("#file", photo)
    page.wait_for_selector(".inbound img")
    assert page.evaluate("document.querySelector('.inbound img').complete")
    page.click("#attach")
    page.click("text=Localização")
    page.wait_for_selector("text=Praça da Sé")
    simulator.wait_until_idle()
    kinds = [message["type"] for message in receiver.messages()]
    assert sorted(kinds) == ["image", "location", "reaction"]


def test_the_control_page_applies_events(simulator: Client, receiver: Receiver, page: Page) -> None:
    page.goto(f"http://127.0.0.1:{simulator.port}/controle")
    page.select_option("[name=kind]", "account:restricted")
    page.click("text=Acontecer")
    page.wait_for_selector("text=Feito.")
    page.click("#clock button")
    page.wait_for_selector("text=Adiantado: 24.0 h")
    simulator.wait_until_idle()
    assert receiver.received[0].json["entry"][0]["changes"][0]["field"] == "account_update"


@pytest.mark.parametrize("path", ["/", "/controle"])
def test_every_text_of_a_page_has_an_english_translation(
    simulator: Client, page: Page, path: str
) -> None:
    simulator.write()
    simulator.send("x")
    lines = {}
    for language in ("pt", "en"):
        page.goto(f"http://127.0.0.1:{simulator.port}{path}?lang={language}&numero={MARIA}")
        page.wait_for_selector("#log tr, .bubble")
        lines[language] = set(page.inner_text("body").split("\n"))
    page.evaluate("localStorage.clear()")
    same = {line for line in lines["pt"] & lines["en"] if PORTUGUESE.search(line)}
    assert same == set()
