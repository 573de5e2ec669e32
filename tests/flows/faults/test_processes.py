"""Workers that are killed, frozen or have a wrong clock, and jobs that are lost or delivered twice.

Each test compares the rows with the simulator's log of every POST that it accepted.
"""

from __future__ import annotations

import os
import signal
import time

import pytest

from chatbot.core.tasks import get_rq_queue
from tests.flows.faults.conftest import (
    LEASE_S,
    StartCampaign,
    block_throttle,
    kill_sender,
    pid_is_alive,
)
from tests.support.delivery_audit import check_deliveries, count_accepted, count_accepted_by_phone
from tests.support.ports import wait_for
from tests.support.redis_server import RedisServer
from tests.support.stack import Stack, send_signal, thaw

pytestmark = [pytest.mark.xdist_group("faults"), pytest.mark.flow, pytest.mark.timeout(240)]


def test_1_a_sender_killed_at_each_point_of_a_batch_doubles_nobody(
    stack: Stack, faults_redis: RedisServer, start: StartCampaign
) -> None:
    block_throttle(faults_redis, 0.95)
    observer = start(700)
    wait_for(
        lambda: observer.count_by_state().get("sending"), 60, every=0.01
    )  # claimed, nothing sent yet
    kill_sender(stack)
    stack.simulator("settings", {"latency_ms": 900})
    before = count_accepted(stack)
    wait_for(lambda: count_accepted(stack) > before, 60)  # in the middle of a POST
    kill_sender(stack)
    killed_at = time.monotonic()
    wait_for(lambda: observer.count_by_state().get("unknown"), LEASE_S + 30, every=0.2)
    taken_up_s = time.monotonic() - killed_at
    stack.simulator("settings", {"latency_ms": 50})
    before = count_accepted(stack)
    wait_for(lambda: count_accepted(stack) > before + 10, 60)  # after the 200
    kill_sender(stack)
    before = observer.count_by_state().get("accepted", 0)
    wait_for(
        lambda: observer.count_by_state().get("accepted", 0) != before, 60
    )  # after the result's commit
    kill_sender(stack)
    observer.wait_until_settled(120)
    states = check_deliveries(stack, observer, 700)
    assert list(states.values()).count("unknown") <= 4 * 128
    assert taken_up_s <= LEASE_S + 10, "rows must be taken up within the lease and 10 s"


def test_2_a_job_process_that_outlives_its_worker_changes_nothing(
    stack: Stack, start: StartCampaign
) -> None:
    stack.simulator("settings", {"latency_ms": 600})
    observer = start(300)
    wait_for(lambda: count_accepted(stack) > 20, 60)
    job_processes = stack.job_processes("campaigns")
    stack.signal("campaigns", signal.SIGKILL)
    stack.processes["campaigns"].wait()
    stack.spawn("campaigns")
    observer.wait_until_settled(120)
    states = check_deliveries(stack, observer, 300)
    assert "unknown" not in states.values() or not job_processes, "its results must be written"
    assert not any(pid_is_alive(pid) for pid in job_processes)


@pytest.mark.parametrize("point", ["before the first POST", "after the first POST"])
def test_3_a_worker_frozen_beyond_its_lease_sends_nothing_that_is_anothers_by_then(
    stack: Stack, faults_redis: RedisServer, start: StartCampaign, point: str
) -> None:
    stack.simulator("settings", {"latency_ms": 100})
    if point.startswith("before"):
        block_throttle(faults_redis, 0.95)
    observer = start(900, "resend")
    if point.startswith("before"):
        wait_for(lambda: observer.count_by_state().get("sending"), 60, every=0.01)
    else:
        wait_for(lambda: count_accepted(stack) > 10, 60, every=0.02)
    frozen = stack.freeze("campaigns")
    stack.spawn("campaigns-2")
    try:
        time.sleep(LEASE_S + 1)  # the freeze itself: it must last longer than the lease
        before = count_accepted(stack)
        wait_for(lambda: count_accepted(stack) > before, 60)
        thaw(frozen)
        observer.wait_until_settled(150)
    finally:
        thaw(frozen)
        os.killpg(stack.processes["campaigns-2"].pid, signal.SIGTERM)
        stack.processes.pop("campaigns-2").wait(60)
    check_deliveries(stack, observer, 900)


@pytest.mark.parametrize("off_s", [-600.0, 600.0])
def test_3_a_worker_whose_clock_is_ten_minutes_off_sends_as_the_others_do(
    stack: Stack, start: StartCampaign, off_s: float
) -> None:
    stack.spawn("campaigns-2", clock_skew_s=off_s)
    observer = start(400)
    observer.wait_until_settled(120)
    frozen = stack.freeze("campaigns")
    try:
        alone = start(100)  # and without the others
        alone.wait_until_settled(120)
    finally:
        thaw(frozen)
        send_signal(stack.processes["campaigns-2"].pid, signal.SIGTERM)
        stack.processes.pop("campaigns-2").wait(60)
    assert not {"unknown", "failed", "skipped"} & observer.count_by_state().keys()
    assert not {"unknown", "failed", "skipped"} & alone.count_by_state().keys()
    assert set(count_accepted_by_phone(stack).values()) == {1}
    assert len(count_accepted_by_phone(stack)) == 500


def test_7_everything_is_sent_without_tasks_and_with_redis_emptied(
    stack: Stack, faults_redis: RedisServer, start: StartCampaign
) -> None:
    observer = start(300)
    for more in (1, 60, 60):
        before = count_accepted(stack)
        wait_for(lambda: count_accepted(stack) >= before + more, 60)  # noqa: B023
        faults_redis.flush()
    observer.wait_until_settled(120)
    check_deliveries(stack, observer, 300)
    assert len(count_accepted_by_phone(stack)) == 300


def test_8_a_job_that_is_delivered_twice_or_again_after_its_end_sends_nothing_twice(
    stack: Stack, faults_redis: RedisServer, start: StartCampaign
) -> None:
    stack.spawn("campaigns-2")
    queue = get_rq_queue(faults_redis.admin, "campaigns")
    jobs = [queue.enqueue_call("campaigns.send", args=(1,), timeout=180) for _ in range(2)]
    observer = start(400)
    jobs += [queue.enqueue_call("campaigns.send", args=(1,), timeout=180) for _ in range(2)]
    try:
        observer.wait_until_settled(120)
        for job in jobs:  # as RQ does with a job that it takes for abandoned
            queue.push_job_id(job.id)
        wait_for(lambda: queue.count == 0, 60)
    finally:
        send_signal(stack.processes["campaigns-2"].pid, signal.SIGTERM)
        stack.processes.pop("campaigns-2").wait(60)
    check_deliveries(stack, observer, 400)
    assert len(count_accepted_by_phone(stack)) == 400
