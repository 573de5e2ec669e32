"""Two stories in a real browser: a customer and an agent talk; a CSV becomes a campaign that ends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.browser import collect_console_errors, launch_chromium
from tests.support.stack import Stack
from tests.support.stack_users import create_users, sign_in

pytestmark = [pytest.mark.flow, pytest.mark.browser, pytest.mark.timeout(240)]

MARIA = "5511987650001"
PATIENCE_MS = 15_000


@pytest.fixture
def peopled(stack: Stack) -> Stack:
    stack.flask("demo", "load")
    stack.flask("templates", "sync")
    create_users(stack)
    stack.simulator("settings", {"read_min_s": 0.2, "read_max_s": 0.5, "read_share": 1})
    return stack


@pytest.fixture
def browser(peopled: Stack) -> Iterator[Browser]:
    with launch_chromium() as running:
        yield running


@pytest.fixture
def panel(peopled: Stack, browser: Browser) -> Iterator[Page]:
    """A manager, signed in; nothing may complain while the story is told."""
    page = browser.new_page(locale="pt-BR")
    complaints = collect_console_errors(page)
    sign_in(page, peopled, "manager")
    yield page
    assert complaints == []


def test_from_the_phone_to_the_thread_and_back(
    peopled: Stack, browser: Browser, panel: Page
) -> None:
    phone = browser.new_page(viewport={"width": 390, "height": 844}, locale="pt-BR")
    phone.goto(f"{peopled.simulator_address}/?numero={MARIA}&nome=Maria")
    phone.get_by_role("textbox", name="Mensagem").fill("quero falar com uma pessoa")
    phone.keyboard.press("Enter")
    expect(phone.locator("#messages")).to_contain_text("chamando um atendente", timeout=PATIENCE_MS)

    panel.goto(f"{peopled.address}/conversations/")
    panel.get_by_role("link", name="Maria Souza").first.click()
    expect(panel.locator("#messages")).to_contain_text(
        "quero falar com uma pessoa", timeout=PATIENCE_MS
    )
    panel.locator("#text").fill("Oi Maria, aqui é a <b>Carla</b>. Como posso ajudar?")
    panel.locator("#send").dblclick()

    answer = phone.locator("#messages").get_by_text("aqui é a <b>Carla</b>")
    expect(answer).to_have_count(1, timeout=PATIENCE_MS)
    phone.get_by_role("textbox", name="Mensagem").fill("minha internet caiu")
    phone.keyboard.press("Enter")
    # Without a reload, and the bot keeps quiet: a person has the conversation.
    expect(panel.locator("#messages")).to_contain_text("minha internet caiu", timeout=PATIENCE_MS)
    phone.wait_for_timeout(3000)
    expect(answer).to_have_count(1)
    assert len(peopled.replies_to(MARIA)) == 2


def test_from_a_csv_to_a_bar_at_its_end(peopled: Stack, panel: Page, tmp_path: Path) -> None:
    people = "".join(f"(51) 9{8100_0000 + n};Cliente {n};vip;sim\n" for n in range(60))
    file = tmp_path / "clientes.csv"
    file.write_text(
        "telefone;nome;etiquetas;aceitou campanhas\n" + people + "123;Sem número;vip;sim\n",
        "cp1252",
    )

    panel.goto(f"{peopled.address}/contacts/import")
    panel.locator("input[type=file]").set_input_files(file)
    panel.locator("main form button.btn-primary").click()
    expect(panel.locator("main")).to_contain_text("Cliente 1")
    panel.locator("main .actions button.btn-primary").click()
    expect(panel.locator("main")).to_contain_text("60", timeout=PATIENCE_MS)

    panel.goto(f"{peopled.address}/campaigns/new")
    panel.locator("input[name=name]").fill("Só para VIPs")
    panel.locator(".choice", has_text="promocao_fibra").locator("input").check()
    panel.locator("main .actions button").first.click()
    panel.locator("select[name=source-1]").select_option("field:name")
    panel.locator("main .actions button").first.click()
    panel.locator("input[value='tag:vip']").check()
    panel.locator("main .actions button").first.click()
    expect(panel.locator(".big-number")).to_have_text("60")
    panel.locator("main .actions button").first.click()
    panel.locator("dialog[open] button.btn-primary").click()

    done = panel.locator("[data-value='shown.done']")
    expect(done).to_have_text("60", timeout=40_000)
    expect(panel.locator("[data-value='shown.funnel.read']")).to_have_text("60", timeout=40_000)
    expect(panel.locator("main")).to_contain_text("Concluída", timeout=40_000)
