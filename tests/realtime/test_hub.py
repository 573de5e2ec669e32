from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any

from chatbot.accounts.models import Role
from chatbot.core.live_events import LiveEvent, LiveEventKind
from chatbot.realtime import hub as hub_module
from chatbot.realtime.clients import ConnectedClient
from chatbot.realtime.hub import QUEUE_SIZE, ClientSocket, Hub, Topic

THREAD: Topic = (LiveEventKind.CONVERSATION, 12)
INBOX: Topic = (LiveEventKind.CONVERSATION, None)


def in_a_loop(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    @wraps(test)
    def run() -> None:
        asyncio.run(test())

    return run


def make_event(
    seq: int,
    kind: LiveEventKind = LiveEventKind.CONVERSATION,
    object_id: int | None = 12,
    epoch: str = "a",
) -> LiveEvent:
    return LiveEvent(epoch, seq, kind, object_id)


def make_connected_hub() -> Hub:
    hub = Hub()
    hub.on_subscribed("a", 0)
    return hub


def join_page(hub: Hub, *topics: Topic, role: Role = Role.AGENT) -> ClientSocket:
    socket = ClientSocket(ConnectedClient(1, 0, "x", role), topics, 0.0)
    hub.add(socket)
    return socket


async def read_messages(socket: ClientSocket) -> list[tuple[str, int | None, str]]:
    """Return the queued messages after the hub has flushed, without `hello`."""
    await asyncio.sleep(2 * hub_module.COALESCE_S)
    said = []
    while not socket.queue.empty():
        message = json.loads(socket.queue.get_nowait())
        said.append((message["kind"], message["id"], message["at"]))
    return [each for each in said if each[0] != "hello"]


async def make_settled_hub() -> Hub:
    """Return a hub that has flushed its first `all`."""
    hub = make_connected_hub()
    await asyncio.sleep(2 * hub_module.COALESCE_S)
    return hub


@in_a_loop
async def test_an_event_reaches_the_pages_that_show_its_subject() -> None:
    hub = await make_settled_hub()
    thread, other, inbox = (
        join_page(hub, THREAD),
        join_page(hub, (LiveEventKind.CONVERSATION, 13)),
        join_page(hub, INBOX),
    )
    hub.on_event(make_event(1))
    hub.on_event(make_event(2, object_id=14))
    assert await read_messages(thread) == [("conversation", 12, "a/2")]
    assert await read_messages(inbox) == [("conversation", None, "a/2")]
    assert await read_messages(other) == []


@in_a_loop
async def test_an_event_without_id_reaches_all_pages_of_its_kind() -> None:
    hub = await make_settled_hub()
    thread, health = join_page(hub, THREAD), join_page(hub, (LiveEventKind.HEALTH, None))
    hub.on_event(make_event(1, object_id=None))
    assert await read_messages(thread) == [("conversation", None, "a/1")]
    assert await read_messages(health) == []


@in_a_loop
async def test_events_are_sent_only_to_allowed_roles() -> None:
    hub = await make_settled_hub()
    wanted: list[Topic] = [(kind, None) for kind in LiveEventKind]
    heard = {role: join_page(hub, *wanted, role=role) for role in Role}
    for seq, kind in enumerate(LiveEventKind, start=1):
        hub.on_event(make_event(seq, kind))
    kinds = {
        role: {kind for kind, *_ in await read_messages(socket)} for role, socket in heard.items()
    }
    assert kinds[Role.AGENT] == {"conversation", "health"}
    assert kinds[Role.MANAGER] == kinds[Role.ADMIN] == {str(kind) for kind in LiveEventKind}


@in_a_loop
async def test_hundreds_of_events_about_one_subject_are_sent_as_one() -> None:
    hub = await make_settled_hub()
    socket = join_page(hub, THREAD)
    for seq in range(1, 301):
        hub.on_event(make_event(seq))
    assert await read_messages(socket) == [("conversation", 12, "a/300")]


@in_a_loop
async def test_a_burst_about_many_subjects_fills_no_queue() -> None:
    hub = await make_settled_hub()
    inbox, threads = join_page(hub, INBOX), join_page(hub, THREAD, (LiveEventKind.CONVERSATION, 15))
    for seq in range(1, 10 * QUEUE_SIZE):
        hub.on_event(make_event(seq, object_id=seq))
    last = f"a/{10 * QUEUE_SIZE - 1}"
    assert await read_messages(inbox) == [("conversation", None, last)]
    assert sorted(await read_messages(threads)) == [
        ("conversation", 12, last),
        ("conversation", 15, last),
    ]


@in_a_loop
async def test_a_gap_makes_every_page_refresh_and_a_repeated_event_does_not() -> None:
    hub = await make_settled_hub()
    socket = join_page(hub, (LiveEventKind.HEALTH, None))
    hub.on_event(make_event(1))
    hub.on_event(make_event(1))
    hub.on_event(make_event(2))
    assert await read_messages(socket) == []
    hub.on_event(make_event(4))
    assert await read_messages(socket) == [("all", None, "a/4")]
    hub.on_event(make_event(5))
    assert await read_messages(socket) == []


@in_a_loop
async def test_another_epoch_makes_every_page_refresh() -> None:
    hub = await make_settled_hub()
    socket = join_page(hub, (LiveEventKind.HEALTH, None))
    hub.on_event(make_event(1, epoch="b"))
    assert await read_messages(socket) == [("all", None, "b/1")]
    hub.on_event(make_event(2, epoch="b"))
    assert await read_messages(socket) == []


@in_a_loop
async def test_a_resubscription_at_the_same_position_has_missed_nothing() -> None:
    hub = await make_settled_hub()
    socket = join_page(hub, THREAD)
    hub.on_event(make_event(1))
    await read_messages(socket)
    hub.on_subscribed("a", 1)
    assert await read_messages(socket) == []
    hub.on_subscribed("a", 3)
    assert await read_messages(socket) == [("all", None, "a/3")]


@in_a_loop
async def test_pages_poll_while_redis_is_down() -> None:
    hub = await make_settled_hub()
    socket = join_page(hub, THREAD)
    assert hub.position == "a/0"
    hub.on_event(make_event(1))
    hub.on_disconnected()
    hub.on_disconnected()
    assert hub.position == ""
    assert await read_messages(socket) == [("away", None, "")]
    hub.on_subscribed("a", 1)
    assert await read_messages(socket) == [("all", None, "a/1")]


@in_a_loop
async def test_garbage_on_the_channel_is_counted_and_every_page_refreshes() -> None:
    hub = await make_settled_hub()
    socket = join_page(hub, THREAD)
    hub.on_invalid_message()
    assert await read_messages(socket) == [("all", None, "a/0")]
    assert hub.counts["garbage"] == 1


@in_a_loop
async def test_a_slow_socket_is_dropped_and_blocks_no_other() -> None:
    hub = await make_settled_hub()
    slow, quick = join_page(hub, INBOX), join_page(hub, INBOX)
    seq = 0
    while not slow.closed.is_set():
        seq += 1
        assert seq <= QUEUE_SIZE, "never dropped"
        hub.on_event(make_event(seq, object_id=seq))
        assert await read_messages(quick) == [("conversation", None, f"a/{seq}")]
    assert not quick.closed.is_set()
    assert hub.counts["slow"] == 1


@in_a_loop
async def test_a_socket_that_answers_no_heartbeat_is_dropped() -> None:
    hub = await make_settled_hub()
    silent, alive = join_page(hub, THREAD), join_page(hub, THREAD)
    alive.last_heard_at = 60.0
    hub.send_heartbeat(now=61.0, silence_s=60.0)
    assert silent.closed.is_set()
    assert not alive.closed.is_set()
    assert await read_messages(alive) == [("beat", None, "a/0")]
    assert hub.counts["silent"] == 1
