"""Redis is killed, started again and frozen under load: nobody is refused, nothing is lost, all comes back.

`make chaos-redis` does it twenty times; the suite twice.
"""

from __future__ import annotations

import os
import time
import urllib.request

import msgspec
import pytest

from tests.flows.conftest import StackMaker
from tests.support.load import Load, guess_password, open_sessions
from tests.support.ports import wait_for
from tests.support.redis_server import RedisServer
from tests.support.scale import scaled
from tests.support.stack import Stack
from tests.support.stack_users import create_users

pytestmark = [pytest.mark.flow, pytest.mark.alone, pytest.mark.timeout(400)]

ROUNDS = int(os.environ.get("PROSA_CHAOS_ROUNDS", str(scaled(2, 5))))
BACK_WITHIN_S = scaled(30, 5)  # five seconds on a machine that does nothing else
ANA = "5511987699999"
JOB_WORKERS = {"prosa-rq-campaigns", "prosa-rq-maintenance"}


def is_whole(stack: Stack, server: RedisServer) -> bool:
    """Web says so, and each worker that takes jobs waits at Redis for them again."""
    with urllib.request.urlopen(f"{stack.address}/health", timeout=10) as answer:
        healthy = msgspec.json.decode(answer.read())["status"] == "healthy"
    names = [client["name"] for client in server.admin.client_list()]
    return healthy and all(any(n.startswith(worker) for n in names) for worker in JOB_WORKERS)


def test_it_dies_again_and_again_and_nothing_is_lost(
    make_stack: StackMaker, own_redis: RedisServer
) -> None:
    stack = make_stack(own_redis.url, TRUSTED_PROXIES=1).start()
    stack.flask("demo", "load")
    create_users(stack)
    panel_sessions = open_sessions(stack, 4)
    sessions = [panel_session.session_id for panel_session in panel_sessions]
    wait_for(lambda: is_whole(stack, own_redis), 30)
    back_s = []
    with Load(stack, panel_sessions).running() as load:
        for number in range(ROUNDS):
            own_redis.kill()
            guesses = guess_password(stack, number, 4)
            own_redis.start()
            began = time.monotonic()
            wait_for(lambda: is_whole(stack, own_redis), BACK_WITHIN_S)
            back_s.append(time.monotonic() - began)
            guesses += guess_password(stack, number, 3)
            assert guesses == {401: 5, 429: 2}, "five guesses are answered, whatever Redis does"
    assert load.failures == {}
    assert load.webhooks_refused == 0
    wait_for(lambda: not load.unanswered(), 60, every=1)
    time.sleep(2)  # a second answer would come now
    assert load.answered_twice() == []
    assert [panel_session.session_id for panel_session in panel_sessions] == sessions
    print(
        f"{ROUNDS} deaths of Redis: {load.codes.total()} pages, all 200; {len(load.senders)} messages, "
        f"all answered once; back within {max(back_s):.1f} s at most"
    )


def test_it_hangs_and_all_work_goes_on(make_stack: StackMaker, own_redis: RedisServer) -> None:
    """The workers that wait at Redis notice it too, and look for work by themselves."""
    stack = make_stack(own_redis.url).start()
    stack.flask("demo", "load")
    stack.flask("templates", "sync")
    wait_for(lambda: is_whole(stack, own_redis), 30)
    own_redis.freeze()
    campaign = stack.flask(
        *("campaigns", "create", "--name", "A", "--template", "lembrete_fatura", "--all"),
        *("--param", "1=field:name", "--param", "2=text:10", "--start"),
    )
    stack.send_as_customer(ANA, "oi")
    wait_for(lambda: stack.replies_to(ANA), 30)
    wait_for(lambda: is_sent(stack.figures(int(campaign))), 60, every=1)
    own_redis.thaw()
    wait_for(lambda: is_whole(stack, own_redis), BACK_WITHIN_S)


def is_sent(figures: dict[str, int]) -> bool:
    return figures["planned"] > 0 and figures["pending"] + figures["sending"] == 0
