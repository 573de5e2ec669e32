"""WebSockets beyond the limits of an address or a session are refused before SQL is asked."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from flask import Flask

from chatbot.realtime import websocket
from chatbot.realtime.socket_limits import WINDOW_S, SocketLimits
from chatbot.realtime.wsgi_bridge import make_environ
from tests.support.asgi import (
    LiveSocketClient,
    get_session_cookie,
    make_scope,
    run_async,
    run_live_app,
)
from tests.support.clients import make_signed_in_client
from tests.support.settings import make_settings

ONE_PROXY = {"x_forwarded_for": "203.0.113.9"}


def make_limits(home: Path, **limits: int) -> SocketLimits:
    return SocketLimits(replace(make_settings(home, TRUSTED_PROXIES=1), **limits), "prosa")


def open_sockets(limits: SocketLimits, stack: ExitStack, number: int, **headers: str) -> list[bool]:
    environ = make_environ(make_scope("websocket", "/live", **(ONE_PROXY | headers)))
    return [stack.enter_context(limits.admit(environ, 100.0)) for _ in range(number)]


def test_open_sockets_of_a_session_are_limited_until_they_close(tmp_path: Path) -> None:
    limits = make_limits(tmp_path, live_sockets_per_session=2)
    with ExitStack() as stack:
        assert open_sockets(limits, stack, 3, cookie="prosa=a") == [True, True, False]
        assert open_sockets(limits, stack, 1, cookie="prosa=b") == [True]
    with ExitStack() as stack:
        assert open_sockets(limits, stack, 2, cookie="prosa=a") == [True, True]


def test_open_sockets_of_an_address_are_limited_as_the_proxy_reports_it(tmp_path: Path) -> None:
    limits = make_limits(tmp_path, live_sockets_per_address=2)
    with ExitStack() as stack:
        forged = {"x_forwarded_for": "198.51.100.1, 203.0.113.9"}
        assert open_sockets(limits, stack, 2) == [True, True]
        assert open_sockets(limits, stack, 1, **forged) == [False]
        assert open_sockets(limits, stack, 1, x_forwarded_for="203.0.113.10") == [True]


def test_handshakes_of_an_address_are_limited_per_minute(tmp_path: Path) -> None:
    limits = make_limits(tmp_path, live_handshakes_per_minute=2)
    environ = make_environ(make_scope("websocket", "/live", **ONE_PROXY))
    admitted = []
    for now in (100.0, 101.0, 102.0, 100.0 + WINDOW_S):
        with limits.admit(environ, now) as is_admitted:
            admitted.append(is_admitted)
    assert admitted == [True, True, False, True]


def test_a_socket_beyond_the_limit_is_refused_before_its_session_is_looked_up(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = replace(app.extensions["prosa_settings"], live_sockets_per_session=1)
    monkeypatch.setitem(app.extensions, "prosa_current_settings", lambda: settings)
    cookie = get_session_cookie(make_signed_in_client(app)[0])

    async def story() -> None:
        async with run_live_app(app) as live:
            first = LiveSocketClient(live, "health", cookie)
            await first.wait_for_event("hello")
            monkeypatch.setattr(websocket, "identify_client", None)  # it would ask SQL
            second = LiveSocketClient(live, "health", cookie)
            await second.wait_closed()
            assert second.close_code == websocket.CLOSE_TRY_AGAIN_LATER
            assert live.hub.counts["limited"] == 1

    run_async(story())


def test_a_flood_of_heartbeats_closes_its_socket(app: Flask) -> None:
    cookie = get_session_cookie(make_signed_in_client(app)[0])

    async def story() -> None:
        async with run_live_app(app) as live:
            page = LiveSocketClient(live, "health", cookie)
            await page.wait_for_event("hello")
            for _ in range(2 * websocket.MAX_UNKNOWN_MESSAGES):
                page.send_to_server(text="beat")
            await page.wait_closed()
            assert page.close_code == websocket.CLOSE_PROTOCOL_ABUSE

    run_async(story())
