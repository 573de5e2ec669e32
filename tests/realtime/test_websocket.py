"""WebSocket application without a server: access, events and closing."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from flask import Flask

from chatbot.accounts.models import Role
from chatbot.core.live_events import PUBSUB_CHANNEL, LiveEventKind, publish_now
from chatbot.ops.metrics import render_metrics
from chatbot.realtime import listener, websocket
from chatbot.realtime.websocket import parse_topics
from tests.support.asgi import (
    LiveSocketClient,
    get_session_cookie,
    make_scope,
    run_async,
    run_live_app,
    wait_until,
)
from tests.support.clients import make_signed_in_client
from tests.support.redis_server import RedisServer


async def publish(kind: LiveEventKind, object_id: int | None = None) -> None:
    publish_now(kind, [object_id])


def test_a_signed_in_page_receives_what_it_watches(app: Flask) -> None:
    cookie = get_session_cookie(make_signed_in_client(app)[0])

    async def story() -> None:
        async with run_live_app(app) as live:
            page = LiveSocketClient(live, "conversation:12", cookie)
            await page.wait_for_event("hello")
            await publish(LiveEventKind.CONVERSATION, 13)
            await publish(LiveEventKind.CONVERSATION, 12)
            await page.wait_for_event("conversation", 12)
            assert ("conversation", 13) not in [(s["kind"], s["id"]) for s in page.received]
            page.disconnect()
            await page.wait_closed()
            assert live.hub.sockets == set()

    run_async(story())


def test_an_agent_receives_no_campaign_events(app: Flask) -> None:
    agent = get_session_cookie(make_signed_in_client(app, Role.AGENT, "Ana")[0])
    manager = get_session_cookie(make_signed_in_client(app, Role.MANAGER, "Bia")[0])

    async def story() -> None:
        async with run_live_app(app) as live:
            pages = [
                LiveSocketClient(live, "campaign campaign:1 import health", c)
                for c in (agent, manager)
            ]
            for page in pages:
                await page.wait_for_event("hello")
            await publish(LiveEventKind.CAMPAIGN, 1)
            await publish(LiveEventKind.IMPORT, 1)
            await publish(LiveEventKind.HEALTH)
            for page in pages:
                await page.wait_for_event("health")
            await pages[1].wait_for_event("import")
            assert set(pages[0].kinds) == {"hello", "health"}
            assert set(pages[1].kinds) == {"hello", "health", "campaign", "import"}

    run_async(story())


@pytest.mark.parametrize("cookie", ["", "nonsense", "\xff"])
def test_a_client_without_session_is_closed_as_unauthenticated(app: Flask, cookie: str) -> None:
    async def story() -> None:
        async with run_live_app(app) as live:
            page = LiveSocketClient(live, "conversation", cookie)
            await page.wait_closed()
            assert (page.close_code, page.received) == (websocket.CLOSE_UNAUTHENTICATED, [])

    run_async(story())


@pytest.mark.parametrize(
    "origin",
    ["", "null", "http://evil.test", "http://panel.test.evil.test", "http://[", "panel.test"],
)
def test_a_page_of_another_origin_is_refused_despite_the_cookie(app: Flask, origin: str) -> None:
    cookie = get_session_cookie(make_signed_in_client(app)[0])

    async def story() -> None:
        async with run_live_app(app) as live:
            page = LiveSocketClient(live, "conversation", cookie, origin=origin)
            await page.wait_closed()
            assert not page.is_open
            assert page.close_code is not None
            assert page.received == []
            assert live.hub.counts["refused"] == 1

    run_async(story())


def test_unknown_messages_are_ignored_and_counted(app: Flask) -> None:
    cookie = get_session_cookie(make_signed_in_client(app)[0])
    strange: list[dict[str, Any]] = [
        {"text": '{"watch": "campaign"}'},
        {"text": "BEAT"},
        {"bytes": b"\x00\xff"},
        {"text": None, "bytes": None},
    ]

    async def story() -> None:
        async with run_live_app(app) as live:
            page = LiveSocketClient(live, "health", cookie)
            await page.wait_for_event("hello")
            for message in [*strange, {"text": "beat"}]:
                page.send_to_server(**message)
            await wait_until(lambda: live.hub.counts["strange"] == len(strange))
            await publish(LiveEventKind.HEALTH)
            await page.wait_for_event("health")
            assert live.hub.counts["strange"] == len(strange)
            for _ in range(websocket.MAX_UNKNOWN_MESSAGES):
                page.send_to_server(text="x")
            await page.wait_closed()
            assert page.close_code == websocket.CLOSE_PROTOCOL_ABUSE

    run_async(story())


def test_socket_events_are_counted_once_in_the_metrics(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket, "HEARTBEAT_S", 0.05)
    cookie = get_session_cookie(make_signed_in_client(app)[0])

    async def story() -> None:
        async with run_live_app(app) as live:
            page = LiveSocketClient(live, "health", cookie)
            await page.wait_for_event("hello")
            page.send_to_server(text="not ours")
            await wait_until(lambda: live.hub.counts["strange"] == 1)
            heartbeats = page.kinds.count("beat")
            await wait_until(lambda: page.kinds.count("beat") >= heartbeats + 3)

    run_async(story())
    assert b'prosa_live_total{event="strange"} 1.0' in render_metrics()


def test_a_page_that_stops_reading_is_dropped(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "SEND_TIMEOUT_S", 0.2)
    cookie = get_session_cookie(make_signed_in_client(app)[0])

    async def story() -> None:
        async with run_live_app(app) as live:
            stuck, quick = (
                LiveSocketClient(live, "health", cookie),
                LiveSocketClient(live, "health", cookie),
            )
            await stuck.wait_for_event("hello")
            await quick.wait_for_event("hello")
            stuck.is_stuck = True
            await publish(LiveEventKind.HEALTH)
            await stuck.wait_closed()
            await quick.wait_for_event("health")
            assert live.hub.counts["slow"] == 1
            assert [socket.client for socket in live.hub.sockets] != []
            assert len(live.hub.sockets) == 1

    run_async(story())


def test_garbage_on_the_channel_makes_pages_refresh(app: Flask, redis_server: RedisServer) -> None:
    cookie = get_session_cookie(make_signed_in_client(app)[0])

    async def story() -> None:
        async with run_live_app(app) as live:
            page = LiveSocketClient(live, "health", cookie)
            await page.wait_for_event("hello")
            redis_server.admin.publish(PUBSUB_CHANNEL, b"\x80\x04garbage")
            await page.wait_for_event("all")
            assert live.hub.counts["garbage"] == 1

    run_async(story())


def test_a_redis_restart_makes_pages_poll_and_then_refresh(
    app: Flask, redis_server: RedisServer
) -> None:
    cookie = get_session_cookie(make_signed_in_client(app)[0])

    async def story() -> None:
        async with run_live_app(app) as live:
            page = LiveSocketClient(live, "conversation:1", cookie)
            await page.wait_for_event("hello")
            redis_server.kill()
            await page.wait_for_event("away")
            assert live.hub.position == ""
            await publish(LiveEventKind.CONVERSATION, 1)  # lost, because Redis is down
            redis_server.start()  # in this thread, because the server ends with the thread that started it
            await page.wait_for_event("all")
            assert page.kinds == ["hello", "away", "all"]

    run_async(story())


def test_a_redis_that_answers_no_ping_counts_as_disconnected(
    app: Flask, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "PING_S", 0.2)
    monkeypatch.setattr(listener, "SILENCE_TIMEOUT_S", 1.5)
    cookie = get_session_cookie(make_signed_in_client(app)[0])

    async def story() -> None:
        async with run_live_app(app) as live:
            page = LiveSocketClient(live, "health", cookie)
            await page.wait_for_event("hello")
            # Answered pings keep the subscription beyond the silence timeout.
            await asyncio.sleep(3)
            assert page.kinds == ["hello"]
            redis_server.freeze()
            await page.wait_for_event("away")
            redis_server.thaw()
            await page.wait_for_event("all")

    run_async(story())


def count_live_connections(redis_server: RedisServer) -> int:
    names = [client["name"] for client in redis_server.admin.client_list()]
    return names.count("prosa-live")


def test_a_process_has_one_subscription_for_all_sockets(
    app: Flask, redis_server: RedisServer
) -> None:
    cookie = get_session_cookie(make_signed_in_client(app)[0])

    async def story() -> None:
        async with run_live_app(app) as live:
            pages = [LiveSocketClient(live, "health", cookie) for _ in range(5)]
            for page in pages:
                await page.wait_for_event("hello")
            await wait_until(lambda: live.hub.is_live)
            # The listener of an earlier test may take half a second to disconnect.
            await wait_until(lambda: count_live_connections(redis_server) == 1)

    run_async(story())


def test_pages_have_the_socket_address_only_if_sockets_are_served(app: Flask) -> None:
    client = make_signed_in_client(app)[0]
    assert "data-live=" not in client.get("/").text

    async def story() -> None:
        async with run_live_app(app) as live:
            html = await asyncio.to_thread(lambda: client.get("/").text)
            assert f'data-live="/live" data-live-at="{live.hub.position}"' in html

    run_async(story())
    assert "data-live=" not in client.get("/").text


def test_invalid_topics_are_skipped() -> None:
    query = "watch=conversation:12&watch=health&watch=secrets&watch=campaign:x&x=campaign&watch="
    query += "&watch=campaign:\xb2&watch=import:99999999999999999999"
    found = list(parse_topics(make_scope("websocket", "/live", query)))
    assert found == [(LiveEventKind.CONVERSATION, 12), (LiveEventKind.HEALTH, None)]
    many = "&".join(f"watch=conversation:{n}" for n in range(100))
    assert len(list(parse_topics(make_scope("websocket", "/live", many)))) == websocket.MAX_TOPICS
