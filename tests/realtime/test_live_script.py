"""Test live.js in Chromium; the test plays the server's side of the socket."""

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
from tests.support.browser import collect_console_errors, launch_chromium
from tests.support.panel import PASSWORD, make_user

pytestmark = pytest.mark.browser


@pytest.fixture
def requests() -> list[int]:
    """List with one entry for each request of the home page's figures."""
    return []


@pytest.fixture
def address(app: Flask, requests: list[int]) -> Iterator[str]:
    """Address of a server whose hub is at position a/5."""
    app.config["WTF_CSRF_ENABLED"] = True
    make_user("Ana", Role.MANAGER)
    db.session.rollback()
    hub = app.extensions["prosa_live"] = Hub()
    hub.on_subscribed("a", 5)

    def get_figures() -> str:
        requests.append(1)
        return f"<p>{len(requests)}</p>"

    app.view_functions["panel.now"] = get_figures
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()
    thread.join()


@pytest.fixture
def sockets() -> list[WebSocketRoute]:
    """Sockets that the page has opened."""
    return []


@pytest.fixture
def page(address: str, sockets: list[WebSocketRoute]) -> Iterator[Page]:
    with launch_chromium() as browser:
        page = browser.new_context(locale="pt-BR", base_url=address).new_page()
        page.route_web_socket("**/live?*", lambda socket: sockets.append(socket))
        page.clock.install()
        page.goto("/login")
        page.fill("#email", "ana@prosa.example")
        page.fill("#password", PASSWORD)
        page.click("main button.btn-primary")
        page.wait_for_selector("h1:has-text('Olá, Ana')")
        wait_until(page, lambda: len(sockets) == 1)
        yield page
        page.context.close()


def wait_until(page: Page, condition: Any) -> None:
    for _ in range(200):
        if condition():
            return
        page.wait_for_timeout(50)
    raise AssertionError("never came true")


def send_to_page(
    page: Page, socket: WebSocketRoute, kind: str, at: str, object_id: int | None = None
) -> None:
    socket.send(json.dumps({"kind": kind, "id": object_id, "at": at}))
    page.wait_for_timeout(100)


def advance_clock(page: Page, seconds: int) -> None:
    for _ in range(seconds):
        page.clock.run_for(1000)
        page.wait_for_timeout(15)
    page.wait_for_timeout(150)


REFRESHED = "[data-refresh-url]"


def test_the_page_refreshes_on_events_and_rarely_otherwise(
    page: Page, requests: list[int], sockets: list[WebSocketRoute]
) -> None:
    complaints = collect_console_errors(page)
    [socket] = sockets
    assert "watch=conversation&watch=campaign&watch=health" in socket.url
    send_to_page(page, socket, "hello", "a/5")
    assert page.locator(f"{REFRESHED}[data-live]").count() == 1
    advance_clock(page, 30)
    assert requests == []  # nothing was missed

    send_to_page(page, socket, "conversation", "a/6", 12)
    advance_clock(page, 7)
    assert len(requests) == 1
    for seq in range(7, 30):
        send_to_page(page, socket, "campaign", f"a/{seq}", 1)
    advance_clock(page, 7)
    assert len(requests) in (2, 3)  # many events, but at most one request in five seconds
    before = len(requests)
    send_to_page(page, socket, "import", "a/30", 1)
    advance_clock(page, 20)
    assert len(requests) == before  # not watched by this page
    advance_clock(page, 61)
    assert len(requests) > before  # the fallback poll
    assert complaints == []


def test_a_gap_another_epoch_and_silence_make_the_page_refresh_or_poll(
    page: Page, requests: list[int], sockets: list[WebSocketRoute]
) -> None:
    send_to_page(page, sockets[0], "hello", "a/5")
    send_to_page(page, sockets[0], "all", "b/1")
    advance_clock(page, 7)
    assert len(requests) == 1

    send_to_page(page, sockets[0], "away", "")
    assert page.locator(f"{REFRESHED}[data-live]").count() == 0
    advance_clock(page, 16)
    assert len(requests) >= 3  # as often as without a socket

    send_to_page(page, sockets[0], "all", "b/2")
    assert page.locator(f"{REFRESHED}[data-live]").count() == 1
    advance_clock(page, 7)
    requests.clear()
    # Without heartbeats the page replaces the socket.
    advance_clock(page, 60)
    wait_until(page, lambda: len(sockets) >= 2)
    requests.clear()
    send_to_page(page, sockets[-1], "hello", "b/2")
    advance_clock(page, 7)
    assert requests == []  # nothing was missed meanwhile
    sockets[-1].close()
    advance_clock(page, 5)
    wait_until(page, lambda: len(sockets) >= 3)
    requests.clear()
    send_to_page(page, sockets[-1], "hello", "b/3")
    advance_clock(page, 7)
    assert len(requests) >= 1  # something was


def test_the_heartbeat_is_answered(page: Page, sockets: list[WebSocketRoute]) -> None:
    heard: list[str | bytes] = []
    sockets[0].on_message(lambda text: heard.append(text))
    send_to_page(page, sockets[0], "hello", "a/5")
    send_to_page(page, sockets[0], "beat", "a/5")
    wait_until(page, lambda: heard == ["beat"])


def test_a_page_whose_session_ended_goes_to_the_sign_in(
    page: Page, sockets: list[WebSocketRoute], app: Flask
) -> None:
    app.view_functions["panel.now"] = lambda: ("", 401)
    page.context.clear_cookies()
    sockets[0].close(code=4401)
    advance_clock(page, 7)
    page.wait_for_url("**/login**")
    assert len(sockets) == 1
