from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any

from chatbot.accounts.models import Role
from chatbot.core.hints import Hint, Kind
from chatbot.realtime import hub as hub_module
from chatbot.realtime.hub import QUEUE, Hub, Socket, Topic
from chatbot.realtime.visitors import Visitor

THREAD: Topic = (Kind.CONVERSATION, 12)
INBOX: Topic = (Kind.CONVERSATION, None)


def in_a_loop(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    @wraps(test)
    def run() -> None:
        asyncio.run(test())

    return run


def hint(
    seq: int, kind: Kind = Kind.CONVERSATION, thing_id: int | None = 12, epoch: str = "a"
) -> Hint:
    return Hint(epoch, seq, kind, thing_id)


def living_hub() -> Hub:
    hub = Hub()
    hub.found("a", 0)
    return hub


def page(hub: Hub, *topics: Topic, role: Role = Role.AGENT) -> Socket:
    socket = Socket(Visitor(1, 0, "x", role), topics, 0.0)
    hub.join(socket)
    return socket


async def told(socket: Socket) -> list[tuple[str, int | None, str]]:
    """What stands in its queue once the hub has gathered what there was, `hello` apart."""
    await asyncio.sleep(2 * hub_module.GATHER_S)
    said = []
    while not socket.queue.empty():
        message = json.loads(socket.queue.get_nowait())
        said.append((message["kind"], message["id"], message["at"]))
    return [each for each in said if each[0] != "hello"]


async def settled() -> Hub:
    """A hub whose first `all` is over."""
    hub = living_hub()
    await asyncio.sleep(2 * hub_module.GATHER_S)
    return hub


@in_a_loop
async def test_a_hint_reaches_the_pages_that_show_what_it_is_about() -> None:
    hub = await settled()
    thread, other, inbox = page(hub, THREAD), page(hub, (Kind.CONVERSATION, 13)), page(hub, INBOX)
    hub.hear(hint(1))
    hub.hear(hint(2, thing_id=14))
    assert await told(thread) == [("conversation", 12, "a/2")]
    assert await told(inbox) == [("conversation", None, "a/2")]
    assert await told(other) == []


@in_a_loop
async def test_a_hint_about_anything_of_a_kind_reaches_all_of_the_kind() -> None:
    hub = await settled()
    thread, health = page(hub, THREAD), page(hub, (Kind.HEALTH, None))
    hub.hear(hint(1, thing_id=None))
    assert await told(thread) == [("conversation", None, "a/1")]
    assert await told(health) == []


@in_a_loop
async def test_nobody_hears_of_what_he_may_not_see_whatever_he_asks_for() -> None:
    hub = await settled()
    wanted: list[Topic] = [(kind, None) for kind in Kind]
    heard = {role: page(hub, *wanted, role=role) for role in Role}
    for seq, kind in enumerate(Kind, start=1):
        hub.hear(hint(seq, kind))
    kinds = {role: {kind for kind, *_ in await told(socket)} for role, socket in heard.items()}
    assert kinds[Role.AGENT] == {"conversation", "health"}
    assert kinds[Role.MANAGER] == kinds[Role.ADMIN] == {str(kind) for kind in Kind}


@in_a_loop
async def test_hundreds_of_hints_about_one_thing_are_told_as_one() -> None:
    hub = await settled()
    socket = page(hub, THREAD)
    for seq in range(1, 301):
        hub.hear(hint(seq))
    assert await told(socket) == [("conversation", 12, "a/300")]


@in_a_loop
async def test_a_burst_about_many_things_fills_nobodys_queue() -> None:
    hub = await settled()
    inbox, threads = page(hub, INBOX), page(hub, THREAD, (Kind.CONVERSATION, 15))
    for seq in range(1, 10 * QUEUE):
        hub.hear(hint(seq, thing_id=seq))
    last = f"a/{10 * QUEUE - 1}"
    assert await told(inbox) == [("conversation", None, last)]
    assert sorted(await told(threads)) == [("conversation", 12, last), ("conversation", 15, last)]


@in_a_loop
async def test_a_gap_makes_everybody_look_and_a_repeated_hint_does_not() -> None:
    hub = await settled()
    socket = page(hub, (Kind.HEALTH, None))
    hub.hear(hint(1))
    hub.hear(hint(1))
    hub.hear(hint(2))
    assert await told(socket) == []
    hub.hear(hint(4))
    assert await told(socket) == [("all", None, "a/4")]
    hub.hear(hint(5))
    assert await told(socket) == []


@in_a_loop
async def test_another_epoch_makes_everybody_look() -> None:
    hub = await settled()
    socket = page(hub, (Kind.HEALTH, None))
    hub.hear(hint(1, epoch="b"))
    assert await told(socket) == [("all", None, "b/1")]
    hub.hear(hint(2, epoch="b"))
    assert await told(socket) == []


@in_a_loop
async def test_a_subscription_that_begins_again_where_it_ended_has_missed_nothing() -> None:
    hub = await settled()
    socket = page(hub, THREAD)
    hub.hear(hint(1))
    await told(socket)
    hub.found("a", 1)
    assert await told(socket) == []
    hub.found("a", 3)
    assert await told(socket) == [("all", None, "a/3")]


@in_a_loop
async def test_while_nothing_is_heard_pages_are_told_to_ask_by_themselves() -> None:
    hub = await settled()
    socket = page(hub, THREAD)
    assert hub.position == "a/0"
    hub.hear(hint(1))
    hub.lost()
    hub.lost()
    assert hub.position == ""
    assert await told(socket) == [("away", None, "")]
    hub.found("a", 1)
    assert await told(socket) == [("all", None, "a/1")]


@in_a_loop
async def test_garbage_on_the_channel_is_counted_and_everybody_looks() -> None:
    hub = await settled()
    socket = page(hub, THREAD)
    hub.hear_garbage()
    assert await told(socket) == [("all", None, "a/0")]
    assert hub.counts["garbage"] == 1


@in_a_loop
async def test_a_socket_that_does_not_keep_up_is_dropped_and_holds_up_nobody() -> None:
    hub = await settled()
    slow, quick = page(hub, INBOX), page(hub, INBOX)
    seq = 0
    while not slow.ended.is_set():
        seq += 1
        assert seq <= QUEUE, "never dropped"
        hub.hear(hint(seq, thing_id=seq))
        assert await told(quick) == [("conversation", None, f"a/{seq}")]
    assert not quick.ended.is_set()
    assert hub.counts["slow"] == 1


@in_a_loop
async def test_the_heart_beats_and_who_does_not_answer_is_dropped() -> None:
    hub = await settled()
    silent, alive = page(hub, THREAD), page(hub, THREAD)
    alive.heard_at = 60.0
    hub.beat(now=61.0, silence_s=60.0)
    assert silent.ended.is_set()
    assert not alive.ended.is_set()
    assert await told(alive) == [("beat", None, "a/0")]
    assert hub.counts["silent"] == 1
