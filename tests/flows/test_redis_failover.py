"""A primary with a replica and Sentinels: the primary is killed under load, and nobody loses a thing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.flows.conftest import StackMaker
from tests.flows.test_campaign_sends import (
    FAST_RECEIPTS,
    accepted_per_person,
    sent_so_far,
    start_campaign,
    wait_until_settled,
)
from tests.support.load import Load, open_sessions
from tests.support.panel_session import PanelSession
from tests.support.ports import wait_for
from tests.support.redis_server import RedisServer
from tests.support.scale import scaled
from tests.support.sentinels import SentinelCluster
from tests.support.stack_users import create_users

pytestmark = [pytest.mark.flow, pytest.mark.alone]


PEOPLE = scaled(400, 700)


@pytest.fixture
def sentinel_cluster() -> Iterator[SentinelCluster]:
    made = SentinelCluster().start()
    yield made
    made.stop()


def listens_to(server: RedisServer) -> bool:
    """Whether the workers wait for wake-ups and jobs at this server."""
    names = {client["name"].rpartition("-")[0] for client in server.admin.client_list()}
    return {"prosa-rq-campaigns", "prosa-rq-maintenance", "prosa"} <= names


def test_the_primary_dies_under_load_and_no_message_row_or_sign_in_is_lost(
    make_stack: StackMaker, sentinel_cluster: SentinelCluster, tmp_path: Path
) -> None:
    stack = make_stack(sentinel_cluster.url, TRUSTED_PROXIES=1, MESSAGES_PER_SECOND=20).start()
    stack.simulator("settings", FAST_RECEIPTS)
    create_users(stack)
    panel_sessions = open_sessions(stack, 3)
    sessions = [panel_session.session_id for panel_session in panel_sessions]
    campaign_id = start_campaign(stack, tmp_path, people=PEOPLE)
    wait_for(lambda: sent_so_far(stack) > 100, 60)
    meanwhile = PanelSession(stack, "10.1.0.99")
    with Load(stack, panel_sessions).running() as load:
        wait_for(lambda: len(load.senders) > 5, 30)
        sentinel_cluster.kill_primary()
        assert meanwhile.sign_in() == 303
        assert sent_so_far(stack) < PEOPLE, "the campaign must still be under way"
        figures = wait_until_settled(stack, campaign_id, 120)
        wait_for(lambda: listens_to(sentinel_cluster.servers[1]), 30)
    assert load.failures == {}
    assert load.webhooks_refused == 0
    wait_for(lambda: not load.unanswered(), 60, every=1)
    time.sleep(2)  # a second answer would come now
    assert load.answered_twice() == []
    assert figures["planned"] == figures["delivered"] + figures["read"] == PEOPLE
    counts = accepted_per_person(stack)
    assert {counts[person] for person in set(counts) - set(load.senders)} == {1}
    assert len(set(counts) - set(load.senders)) == PEOPLE
    assert [panel_session.get("/account/") for panel_session in (*panel_sessions, meanwhile)] == [
        200
    ] * 4
    assert [panel_session.session_id for panel_session in panel_sessions] == sessions
