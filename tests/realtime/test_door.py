"""Who is let in, what he hears, and when the door closes: the application without a server."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from flask import Flask

from chatbot.accounts.models import Role
from chatbot.core.hints import CHANNEL, Kind, publish_committed
from chatbot.ops.metrics import render_metrics
from chatbot.realtime import door, listener
from chatbot.realtime.door import topics_of
from tests.support.asgi import Page, cookie_of, run, running, scope_of, until
from tests.support.redis_server import RedisServer
from tests.support.visitors import signed_in


async def publish(kind: Kind, thing_id: int | None = None) -> None:
    publish_committed(kind, [thing_id])


def test_a_signed_in_page_hears_what_it_watches(app: Flask) -> None:
    cookie = cookie_of(signed_in(app)[0])

    async def story() -> None:
        async with running(app) as live:
            page = Page(live, "conversation:12", cookie)
            await page.hears("hello")
            await publish(Kind.CONVERSATION, 13)
            await publish(Kind.CONVERSATION, 12)
            await page.hears("conversation", 12)
            assert ("conversation", 13) not in [(s["kind"], s["id"]) for s in page.said]
            page.leave()
            await page.ends()
            assert live.hub.sockets == set()

    run(story())


def test_an_agent_hears_nothing_of_campaigns_though_he_asks(app: Flask) -> None:
    agent = cookie_of(signed_in(app, Role.AGENT, "Ana")[0])
    manager = cookie_of(signed_in(app, Role.MANAGER, "Bia")[0])

    async def story() -> None:
        async with running(app) as live:
            pages = [Page(live, "campaign campaign:1 import health", c) for c in (agent, manager)]
            for page in pages:
                await page.hears("hello")
            await publish(Kind.CAMPAIGN, 1)
            await publish(Kind.IMPORT, 1)
            await publish(Kind.HEALTH)
            for page in pages:
                await page.hears("health")
            await pages[1].hears("import")
            assert set(pages[0].kinds) == {"hello", "health"}
            assert set(pages[1].kinds) == {"hello", "health", "campaign", "import"}

    run(story())


@pytest.mark.parametrize("cookie", ["", "nonsense", "\xff"])
def test_a_stranger_is_told_to_sign_in(app: Flask, cookie: str) -> None:
    async def story() -> None:
        async with running(app) as live:
            page = Page(live, "conversation", cookie)
            await page.ends()
            assert (page.close_code, page.said) == (door.STRANGER, [])

    run(story())


@pytest.mark.parametrize(
    "origin",
    ["", "null", "http://evil.test", "http://panel.test.evil.test", "http://[", "panel.test"],
)
def test_another_sites_page_is_refused_though_it_brings_our_cookie(app: Flask, origin: str) -> None:
    cookie = cookie_of(signed_in(app)[0])

    async def story() -> None:
        async with running(app) as live:
            page = Page(live, "conversation", cookie, origin=origin)
            await page.ends()
            assert not page.is_open
            assert page.close_code is not None
            assert page.said == []
            assert live.hub.counts["refused"] == 1

    run(story())


def test_messages_that_are_not_ours_are_ignored_and_counted(app: Flask) -> None:
    cookie = cookie_of(signed_in(app)[0])
    strange: list[dict[str, Any]] = [
        {"text": '{"watch": "campaign"}'},
        {"text": "BEAT"},
        {"bytes": b"\x00\xff"},
        {"text": None, "bytes": None},
    ]

    async def story() -> None:
        async with running(app) as live:
            page = Page(live, "health", cookie)
            await page.hears("hello")
            for message in [*strange, {"text": "beat"}]:
                page.say(**message)
            await until(lambda: live.hub.counts["strange"] == len(strange))
            await publish(Kind.HEALTH)
            await page.hears("health")
            assert live.hub.counts["strange"] == len(strange)
            for _ in range(door.MOST_STRANGE):
                page.say(text="x")
            await page.ends()
            assert page.close_code == door.TOO_STRANGE

    run(story())


def test_what_became_of_sockets_is_among_the_metrics_and_counted_once(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "BEAT_S", 0.05)
    cookie = cookie_of(signed_in(app)[0])

    async def story() -> None:
        async with running(app) as live:
            page = Page(live, "health", cookie)
            await page.hears("hello")
            page.say(text="not ours")
            await until(lambda: live.hub.counts["strange"] == 1)
            beats = page.kinds.count("beat")
            await until(lambda: page.kinds.count("beat") >= beats + 3)

    run(story())
    assert b'prosa_live_total{event="strange"} 1.0' in render_metrics()


def test_a_page_that_reads_no_more_is_dropped(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "SEND_S", 0.2)
    cookie = cookie_of(signed_in(app)[0])

    async def story() -> None:
        async with running(app) as live:
            stuck, quick = Page(live, "health", cookie), Page(live, "health", cookie)
            await stuck.hears("hello")
            await quick.hears("hello")
            stuck.is_stuck = True
            await publish(Kind.HEALTH)
            await stuck.ends()
            await quick.hears("health")
            assert live.hub.counts["slow"] == 1
            assert [socket.visitor for socket in live.hub.sockets] != []
            assert len(live.hub.sockets) == 1

    run(story())


def test_garbage_on_the_channel_makes_pages_look(app: Flask, redis_server: RedisServer) -> None:
    cookie = cookie_of(signed_in(app)[0])

    async def story() -> None:
        async with running(app) as live:
            page = Page(live, "health", cookie)
            await page.hears("hello")
            redis_server.admin.publish(CHANNEL, b"\x80\x04garbage")
            await page.hears("all")
            assert live.hub.counts["garbage"] == 1

    run(story())


def test_a_redis_that_is_killed_and_started_makes_pages_poll_and_then_look(
    app: Flask, redis_server: RedisServer
) -> None:
    cookie = cookie_of(signed_in(app)[0])

    async def story() -> None:
        async with running(app) as live:
            page = Page(live, "conversation:1", cookie)
            await page.hears("hello")
            redis_server.kill()
            await page.hears("away")
            assert live.hub.position == ""
            await publish(Kind.CONVERSATION, 1)  # nobody hears this one
            redis_server.start()  # in this thread: the server ends with the one that started it
            await page.hears("all")
            assert page.kinds == ["hello", "away", "all"]

    run(story())


def test_a_redis_that_hangs_is_given_up_when_it_answers_no_ping(
    app: Flask, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "PING_S", 0.2)
    monkeypatch.setattr(listener, "SILENCE_S", 1.5)
    cookie = cookie_of(signed_in(app)[0])

    async def story() -> None:
        async with running(app) as live:
            page = Page(live, "health", cookie)
            await page.hears("hello")
            # Pongs keep it alive well beyond the time after which silence ends it.
            await asyncio.sleep(3)
            assert page.kinds == ["hello"]
            redis_server.freeze()
            await page.hears("away")
            redis_server.thaw()
            await page.hears("all")

    run(story())


def test_one_process_holds_one_connection_of_its_own(app: Flask, redis_server: RedisServer) -> None:
    cookie = cookie_of(signed_in(app)[0])

    async def story() -> None:
        async with running(app) as live:
            pages = [Page(live, "health", cookie) for _ in range(5)]
            for page in pages:
                await page.hears("hello")
            names = [client["name"] for client in redis_server.admin.client_list()]
            assert names.count("prosa-live") == 1

    run(story())


def test_pages_learn_of_the_socket_only_where_there_is_one(app: Flask) -> None:
    client = signed_in(app)[0]
    assert "data-live=" not in client.get("/").text

    async def story() -> None:
        async with running(app) as live:
            html = await asyncio.to_thread(lambda: client.get("/").text)
            assert f'data-live="/live" data-live-at="{live.hub.position}"' in html

    run(story())
    assert "data-live=" not in client.get("/").text


def test_topics_are_read_and_what_is_none_is_left_out() -> None:
    query = "watch=conversation:12&watch=health&watch=secrets&watch=campaign:x&x=campaign&watch="
    query += "&watch=campaign:\xb2&watch=import:99999999999999999999"
    found = list(topics_of(scope_of("websocket", "/live", query)))
    assert found == [(Kind.CONVERSATION, 12), (Kind.HEALTH, None)]
    many = "&".join(f"watch=conversation:{n}" for n in range(100))
    assert len(list(topics_of(scope_of("websocket", "/live", many)))) == door.MOST_TOPICS
