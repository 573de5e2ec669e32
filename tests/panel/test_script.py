"""Tests of prosa.js in Chromium, against a server in a thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from flask import Flask, flash, redirect
from flask.typing import ResponseReturnValue
from playwright.sync_api import Page
from werkzeug.serving import make_server

from chatbot.accounts.models import Role
from chatbot.core.db import db
from tests.support.browser import collect_console_errors, launch_chromium
from tests.support.panel import PASSWORD, make_user

pytestmark = pytest.mark.browser


@pytest.fixture
def address(app: Flask) -> Iterator[str]:
    app.config["WTF_CSRF_ENABLED"] = True
    make_user("Ana", Role.ADMIN)
    db.session.rollback()
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()
    thread.join()


@pytest.fixture
def page(address: str) -> Iterator[Page]:
    """Open the home page on a phone, signed in as an administrator.

    Chromium starts after the application and ends before it: Playwright keeps an event loop running
    in this thread, in which Flask's teardown functions can't be run.
    """
    with launch_chromium() as browser:
        context = browser.new_context(
            viewport={"width": 390, "height": 844}, locale="pt-BR", base_url=address
        )
        found = context.new_page()
        found.set_default_timeout(5000)
        found.goto("/login")
        found.fill("#email", "ana@prosa.example")
        found.fill("#password", PASSWORD)
        found.click("main button.btn-primary")
        found.wait_for_selector("h1:has-text('Olá, Ana')")
        yield found
        context.close()


def test_pages_have_no_console_errors_and_fit_a_phone(page: Page) -> None:
    errors = collect_console_errors(page)
    for path in ("/", "/users/", "/account/", "/redis/"):
        page.goto(path)
        page.wait_for_load_state("networkidle")
        wide = page.evaluate("document.documentElement.scrollWidth > window.innerWidth")
        assert not wide, path
    assert errors == []


def test_theme_follows_the_device_until_one_is_chosen(page: Page) -> None:
    def theme() -> object:
        return page.evaluate("document.documentElement.dataset.bsTheme")

    page.emulate_media(color_scheme="dark")
    page.wait_for_selector("html[data-bs-theme=dark]")
    page.click(".bottombar summary")
    page.click(".bottombar [data-theme-toggle]")
    assert theme() == "light"
    page.reload()
    assert theme() == "light"


def test_destructive_actions_ask_for_confirmation(page: Page) -> None:
    page.goto("/account/")
    page.click("text=Sair de todos os aparelhos")
    assert page.locator("dialog.confirm").is_visible()
    page.click("dialog.confirm button[value=cancel]")
    assert page.url.endswith("/account/")
    assert not page.locator("dialog.confirm").is_visible()
    page.click("text=Sair de todos os aparelhos")
    page.keyboard.press("Escape")
    assert page.url.endswith("/account/")
    page.click("text=Sair de todos os aparelhos")
    page.click("dialog.confirm button[value=ok]")
    page.wait_for_url("**/login")
    assert page.locator("text=Você saiu de todos os aparelhos.").is_visible()


def test_form_is_sent_once_despite_many_clicks(app: Flask, page: Page) -> None:
    seen = []

    def slow() -> ResponseReturnValue:
        seen.append(1)
        threading.Event().wait(0.7)
        flash("x")
        return redirect("/account/", 303)

    app.view_functions["account.change_password"] = slow
    page.goto("/account/")
    page.evaluate("""() => {
        const form = document.querySelector("form[action='/account/password']");
        for (let i = 0; i < 5; i++) form.requestSubmit();
        for (let i = 0; i < 5; i++) form.querySelector("button").click();
    }""")
    page.wait_for_load_state("networkidle")
    assert seen == [1]


def advance_clock(page: Page, seconds: int) -> None:
    """Advance the page's clock in steps, so that its requests are answered before they time out."""
    for _ in range(seconds):
        page.clock.run_for(1000)
        page.wait_for_timeout(15)
    page.wait_for_timeout(150)


def test_live_parts_refresh_and_show_when_they_are_stale(app: Flask, page: Page) -> None:
    asked: list[int] = []
    answers: list[ResponseReturnValue] = ["<p>um</p>", "<p>dois</p>"]

    def next_answer() -> ResponseReturnValue:
        asked.append(1)
        return answers.pop(0) if answers else ("", 503)

    app.view_functions["panel.now"] = next_answer
    page.clock.install()
    page.goto("/")
    part = page.locator("[data-refresh-url]")
    for text in ("um", "dois"):
        advance_clock(page, 5)
        part.locator(f"p:has-text('{text}')").wait_for()
    assert part.get_attribute("data-stale") is None
    advance_clock(page, 16)  # the second failure in a row is shown
    assert part.get_attribute("data-stale") == ""
    assert page.locator("text=Os números não puderam ser atualizados").is_visible()
    advance_clock(page, 120)
    assert 5 <= len(asked) <= 9  # the interval doubles, up to a minute
    answers += ["<p>de volta</p>"] * 3
    advance_clock(page, 61)
    part.locator("p:has-text('de volta')").wait_for()
    assert part.get_attribute("data-stale") is None


def test_ended_session_leads_to_the_sign_in(page: Page) -> None:
    page.clock.install()
    page.goto("/")
    page.context.clear_cookies()
    advance_clock(page, 6)
    page.wait_for_url("**/login**")


def test_language_switch_returns_to_the_page(page: Page) -> None:
    page.goto("/account/")
    page.click(".bottombar summary")
    page.click(".bottombar button:has-text('English')")
    page.wait_for_selector("h1:has-text('Your account')")
    assert page.url.endswith("/account/")
