"""Live pages on real processes: the web process with its sockets, workers, a Redis that comes and goes."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import time
from collections.abc import Awaitable, Iterator
from typing import Any

import aiohttp
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.browser import collect_console_errors, launch_chromium
from tests.support.redis_server import RedisServer
from tests.support.stack import Stack
from tests.support.stack_users import PASSWORD, create_users, sign_in

pytestmark = [pytest.mark.flow, pytest.mark.timeout(240)]

MARIA = "5511987650001"
PATIENCE_MS = 20_000
PATIENCE_S = 60


@pytest.fixture
def served(make_stack: Any, own_redis: RedisServer) -> Stack:
    """Only the web process, with people who may sign in."""
    stack: Stack = make_stack(own_redis.url)
    stack.flask("demo", "load")
    create_users(stack)
    return stack.start("web", "simulator")


async def sign_in_over_http(session: aiohttp.ClientSession, role: str) -> None:
    async with session.get("/login") as answer:
        token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', await answer.text())
    assert token
    form = {"email": f"{role}@prosa.test", "password": PASSWORD, "csrf_token": token[1]}
    async with session.post("/login", data=form) as answer:
        assert answer.url.path == "/"


def make_http_session(stack: Stack) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(stack.address, cookie_jar=aiohttp.CookieJar(unsafe=True))


def run_async(story: Awaitable[None]) -> None:
    asyncio.run(story)  # type: ignore[arg-type]


def test_sockets_end_with_their_session_and_make_way_for_the_end_of_their_process(
    served: Stack,
) -> None:
    async def story() -> None:
        async with (
            make_http_session(served) as ana,
            make_http_session(served) as bia,
            make_http_session(served) as stranger,
        ):
            await sign_in_over_http(ana, "agent")
            await sign_in_over_http(bia, "manager")
            own = {"Origin": served.address}
            sockets = [
                await who.ws_connect("/live?watch=health", headers=own) for who in (ana, bia)
            ]
            for socket in sockets:
                assert (await socket.receive_json(timeout=PATIENCE_S))["kind"] == "hello"
            refused = await stranger.ws_connect("/live", headers=own)
            assert (await refused.receive(PATIENCE_S)).data == 4401
            with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
                await bia.ws_connect("/live", headers={"Origin": "http://evil.test"})

            await sign_out(ana)
            began_at = time.monotonic()
            assert await end_of(sockets[0]) == 4401
            assert time.monotonic() - began_at < 60
            assert not sockets[1].closed

            served.processes["web"].send_signal(signal.SIGTERM)
            assert await end_of(sockets[1]) == 1001
            assert await asyncio.to_thread(served.processes["web"].wait, PATIENCE_S) == 0

    run_async(story())


async def sign_out(session: aiohttp.ClientSession) -> None:
    async with session.get("/account/") as answer:
        token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', await answer.text())
    assert token
    async with session.post("/logout", data={"csrf_token": token[1]}) as answer:
        assert answer.status == 200


async def end_of(socket: aiohttp.ClientWebSocketResponse) -> int | None:
    """The code with which it is closed, whatever it is told until then."""
    while not socket.closed:
        message = await socket.receive(PATIENCE_S)
        if message.type is aiohttp.WSMsgType.TEXT and json.loads(message.data)["kind"] == "beat":
            await socket.send_str("beat")
    return socket.close_code


def test_plain_gunicorn_serves_the_same_pages_which_then_ask_by_themselves(
    make_stack: Any, own_redis: RedisServer
) -> None:
    stack: Stack = make_stack(own_redis.url)
    stack.web = "gunicorn wsgi:app"
    stack.flask("demo", "load")
    create_users(stack)
    stack.start("web", "simulator")

    async def story() -> None:
        async with make_http_session(stack) as ana:
            await sign_in_over_http(ana, "agent")
            async with ana.get("/conversations/") as answer:
                page = await answer.text()
            assert "data-refresh-url" in page
            assert "data-live=" not in page

    run_async(story())


# --- in browsers -----------------------------------------------------------------------------------


@pytest.fixture
def browser() -> Iterator[Browser]:
    with launch_chromium() as running:
        yield running


def someone_with_maria(browser: Browser, stack: Stack, role: str) -> Page:
    """A person of that role, who looks at what Maria writes."""
    page = browser.new_context(locale="pt-BR").new_page()
    sign_in(page, stack, role)
    page.goto(f"{stack.address}/conversations/")
    page.get_by_role("link", name="Maria Souza").first.click()
    return page


@pytest.mark.browser
def test_a_message_reaches_two_people_at_once_and_through_a_restart_of_redis(
    stack: Stack, own_redis: RedisServer, browser: Browser
) -> None:
    stack.flask("demo", "load")
    create_users(stack)
    people = [someone_with_maria(browser, stack, role) for role in ("agent", "manager")]
    complaints = [collect_console_errors(page) for page in people]
    for page in people:
        expect(page.locator("#chat[data-live]")).to_have_count(1, timeout=PATIENCE_MS)

    stack.send_as_customer(MARIA, "primeira mensagem", "Maria Souza")
    for page in people:
        expect(page.locator("#messages")).to_contain_text("primeira mensagem", timeout=PATIENCE_MS)

    own_redis.kill()
    for page in people:
        expect(page.locator("#chat[data-live]")).to_have_count(0, timeout=PATIENCE_MS)
    stack.send_as_customer(MARIA, "enquanto nada se ouvia", "Maria Souza")
    for page in people:
        expect(page.locator("#messages")).to_contain_text(
            "enquanto nada se ouvia", timeout=PATIENCE_MS
        )
    own_redis.start()
    for page in people:
        expect(page.locator("#chat[data-live]")).to_have_count(1, timeout=PATIENCE_MS)
    stack.send_as_customer(MARIA, "tudo como antes", "Maria Souza")
    for page in people:
        expect(page.locator("#messages")).to_contain_text("tudo como antes", timeout=PATIENCE_MS)
        expect(page.locator("#messages .bubble", has_text="primeira mensagem")).to_have_count(1)
    assert complaints == [[], []]
