"""What live.js makes of what it is told, in Chromium; the test speaks as the server's socket."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from playwright.sync_api import Page, WebSocketRoute
from werkzeug.serving import make_server

from chatbot.accounts.models import Role
from chatbot.core.db import db
from chatbot.realtime.hub import Hub
from tests.support.browser import chromium, complaints_of
from tests.support.panel import PASSWORD, make_user

pytestmark = pytest.mark.browser


@pytest.fixture
def asked() -> list[int]:
    """Grows with each look at the home page's figures."""
    return []


@pytest.fixture
def address(app: Flask, asked: list[int]) -> Iterator[str]:
    """A server whose hub has heard hint 5 of epoch a."""
    app.config["WTF_CSRF_ENABLED"] = True
    make_user("Ana", Role.MANAGER)
    db.session.rollback()
    hub = app.extensions["prosa_live"] = Hub()
    hub.found("a", 5)

    def look() -> str:
        asked.append(1)
        return f"<p>{len(asked)}</p>"

    app.view_functions["panel.now"] = look
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()
    thread.join()


@pytest.fixture
def sockets() -> list[WebSocketRoute]:
    """The sockets that the page has opened."""
    return []


@pytest.fixture
def page(address: str, sockets: list[WebSocketRoute]) -> Iterator[Page]:
    with chromium() as browser:
        page = browser.new_context(locale="pt-BR", base_url=address).new_page()
        page.route_web_socket("**/live?*", lambda socket: sockets.append(socket))
        page.clock.install()
        page.goto("/login")
        page.fill("#email", "ana@prosa.example")
        page.fill("#password", PASSWORD)
        page.click("main button.btn-primary")
        page.wait_for_selector("h1:has-text('Olá, Ana')")
        until(page, lambda: len(sockets) == 1)
        yield page
        page.context.close()


def until(page: Page, condition: Any) -> None:
    for _ in range(200):
        if condition():
            return
        page.wait_for_timeout(50)
    raise AssertionError("never came true")


def tell(
    page: Page, socket: WebSocketRoute, kind: str, at: str, thing_id: int | None = None
) -> None:
    socket.send(json.dumps({"kind": kind, "id": thing_id, "at": at}))
    page.wait_for_timeout(100)


def pass_time(page: Page, seconds: int) -> None:
    for _ in range(seconds):
        page.clock.run_for(1000)
        page.wait_for_timeout(15)
    page.wait_for_timeout(150)


PART = "[data-refresh-url]"


def test_the_page_asks_when_it_is_told_and_hardly_ever_else(
    page: Page, asked: list[int], sockets: list[WebSocketRoute]
) -> None:
    complaints = complaints_of(page)
    [socket] = sockets
    assert "watch=conversation&watch=campaign&watch=health" in socket.url
    tell(page, socket, "hello", "a/5")
    assert page.locator(f"{PART}[data-live]").count() == 1
    pass_time(page, 30)
    assert asked == []  # nothing was missed, so nothing is asked

    tell(page, socket, "conversation", "a/6", 12)
    pass_time(page, 7)
    assert len(asked) == 1
    for seq in range(7, 30):
        tell(page, socket, "campaign", f"a/{seq}", 1)
    pass_time(page, 7)
    assert len(asked) in (2, 3)  # many hints, but not more often than every five seconds
    before = len(asked)
    tell(page, socket, "import", "a/30", 1)
    pass_time(page, 20)
    assert len(asked) == before  # of no concern to this page
    pass_time(page, 61)
    assert len(asked) > before  # the safety net
    assert complaints == []


def test_a_gap_another_epoch_and_a_silence_make_the_page_look_or_poll(
    page: Page, asked: list[int], sockets: list[WebSocketRoute]
) -> None:
    tell(page, sockets[0], "hello", "a/5")
    tell(page, sockets[0], "all", "b/1")
    pass_time(page, 7)
    assert len(asked) == 1

    tell(page, sockets[0], "away", "")
    assert page.locator(f"{PART}[data-live]").count() == 0
    pass_time(page, 16)
    assert len(asked) >= 3  # as often as without a socket

    tell(page, sockets[0], "all", "b/2")
    assert page.locator(f"{PART}[data-live]").count() == 1
    pass_time(page, 7)
    asked.clear()
    # Nothing is heard for too long, not even a heart: the socket is given up and another one opened.
    pass_time(page, 60)
    until(page, lambda: len(sockets) >= 2)
    asked.clear()
    tell(page, sockets[-1], "hello", "b/2")
    pass_time(page, 7)
    assert asked == []  # nothing was missed meanwhile
    sockets[-1].close()
    pass_time(page, 5)
    until(page, lambda: len(sockets) >= 3)
    asked.clear()
    tell(page, sockets[-1], "hello", "b/3")
    pass_time(page, 7)
    assert len(asked) >= 1  # something was


def test_the_heart_is_answered(page: Page, sockets: list[WebSocketRoute]) -> None:
    heard: list[str | bytes] = []
    sockets[0].on_message(lambda text: heard.append(text))
    tell(page, sockets[0], "hello", "a/5")
    tell(page, sockets[0], "beat", "a/5")
    until(page, lambda: heard == ["beat"])


def test_a_page_whose_session_ended_goes_to_the_sign_in(
    page: Page, sockets: list[WebSocketRoute], app: Flask
) -> None:
    app.view_functions["panel.now"] = lambda: ("", 401)
    page.context.clear_cookies()
    sockets[0].close(code=4401)
    pass_time(page, 7)
    page.wait_for_url("**/login**")
    assert len(sockets) == 1
