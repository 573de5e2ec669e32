"""Every page, as every role, in a real browser: quiet console, no policy report, no English in the
Portuguese page, nothing wider than a phone."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from babel.messages.pofile import read_po
from flask import Flask
from playwright.sync_api import Browser, Page, expect

from chatbot import create_app
from tests.support.browser import collect_console_errors, launch_chromium
from tests.support.settings import make_settings
from tests.support.stack import ROOT, Stack
from tests.support.stack_users import PASSWORD, create_users, sign_in

pytestmark = [
    pytest.mark.xdist_group("every page"),
    pytest.mark.flow,
    pytest.mark.browser,
    pytest.mark.timeout(400),
]

# Not pages: data for scripts and machines, files, and what ends the visit.
NOT_PAGES = ("/static", "/bootstrap", "/health", "/metrics", "/cache", "/webhooks", "/login")
EXAMPLE = "1"


@pytest.fixture(scope="module")
def addresses(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return pages(tmp_path_factory.mktemp("map"))


@pytest.fixture(scope="module")
def browser(panel: Stack) -> Iterator[Browser]:
    """Started last: no application can be made where Playwright's loop runs."""
    with launch_chromium() as running:
        yield running


@pytest.fixture(scope="module")
def panel(
    addresses: list[str], _migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """One stack without workers for all who walk: they only look."""
    home = tmp_path_factory.mktemp("panel")
    shutil.copy(_migrated_sqlite, home / "prosa.db")
    stack = Stack(home, f"sqlite:///{home / 'prosa.db'}", None).start("simulator", "web")
    stack.flask("demo", "load")
    stack.flask("templates", "sync")
    stack.flask(
        *("campaigns", "create", "--name", "Lembrete de novembro", "--template"),
        *("lembrete_fatura", "--all", "--param", "1=field:name", "--param", "2=text:10/12"),
    )
    create_users(stack)
    yield stack
    stack.stop()


def pages(tmp_path: Path) -> list[str]:
    """The addresses of all GET routes, with example ids, from the application's own map."""
    app: Flask = create_app(make_settings(tmp_path))
    found = set()
    for rule in app.url_map.iter_rules():
        if "GET" not in (rule.methods or ()) or rule.rule.startswith(NOT_PAGES):
            continue
        values = dict.fromkeys(rule.arguments, EXAMPLE)
        built = rule.build(values, append_unknown=False)
        if built is not None and not built[1].endswith(".csv"):
            found.add(built[1])
    return sorted(found)


def english_only() -> list[str]:
    """Sentences that a Portuguese page must not hold: those whose translation differs."""
    with (ROOT / "chatbot/translations/pt_BR/LC_MESSAGES/messages.po").open("rb") as file:
        catalog = read_po(file)
    return [
        str(message.id)
        for message in catalog
        if message.id
        and isinstance(message.id, str)
        and " " in message.id
        and "%(" not in message.id
        and message.id != message.string
    ]


@pytest.mark.parametrize("role", ["agent", "manager", "admin"])
def test_each_page_is_quiet_translated_and_fits_a_phone(
    panel: Stack, browser: Browser, addresses: list[str], role: str
) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844}, locale="pt-BR")
    page = context.new_page()
    complaints = collect_console_errors(page)
    sign_in(page, panel, role)
    english, seen = english_only(), 0
    for path in addresses:
        answer = page.request.get(panel.address + path)
        assert answer.status < 500, path
        if "html" not in answer.headers.get("content-type", ""):
            continue
        text = answer.text()
        if answer.status >= 400:
            assert re.search(r"<h[1-6]", text), path
            continue
        if "<title>" not in text:
            continue  # a part of a page
        page.goto(panel.address + path)
        seen += 1
        assert complaints == [], path
        assert _overflow(page) <= 0, f"{path} scrolls sideways by {_overflow(page)} px"
        text = page.inner_text("body")
        assert [sentence for sentence in english if sentence in text] == [], path
    assert seen > 5
    context.close()


def _overflow(page: Page) -> int:
    width: int = page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    return width


def test_the_wrong_password_is_told_and_the_form_keeps_the_address(
    panel: Stack, browser: Browser
) -> None:
    page = browser.new_page(locale="pt-BR")
    page.goto(f"{panel.address}/login")
    page.get_by_label("E-mail").fill("agent@prosa.test")
    page.locator("input[type=password]").fill(PASSWORD + "x")
    page.keyboard.press("Enter")
    expect(page.locator("body")).to_contain_text("incorret")
    assert page.get_by_label("E-mail").input_value() == "agent@prosa.test"
    page.close()
