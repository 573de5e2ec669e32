from __future__ import annotations

import pytest

from tests.flows.conftest import StackMaker
from tests.support.alert_receiver import AlertReceiver
from tests.support.ports import wait_for
from tests.support.redis_server import RedisServer


@pytest.mark.flow
def test_the_scheduler_alone_tells_that_workers_and_redis_are_gone(
    make_stack: StackMaker, own_redis: RedisServer, receiver: AlertReceiver
) -> None:
    stack = make_stack(
        own_redis.url,
        ALERT_URLS=receiver.url,
        ALERT_HOLD_S=1,
        ALERT_EVERY_S=0.5,
        PROSA_LOCALE="en",
    )
    stack.spawn("scheduler")
    wait_for(lambda: "Workers are missing" in receiver.titles(), 60)
    assert "inbound" in receiver.received[0]["message"]
    assert "scheduler" not in receiver.received[0]["message"].partition(". Start")[0]
    own_redis.kill()
    wait_for(lambda: "Redis is down" in receiver.titles(), 60)
    own_redis.start()
    wait_for(lambda: receiver.titles().count("Redis is down") == 2, 60)
    assert receiver.titles().count("Workers are missing") == 1
