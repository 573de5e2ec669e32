"""Faults 1, 2, 3, 7 and 8 of reliability.md: workers that die, freeze, and bells that lie.

The judge is the simulator's log of every POST that it accepted.
"""

from __future__ import annotations

import os
import signal
import time

import pytest

from chatbot.core.queue import rq_queue
from tests.flows.faults.conftest import LEASE_S, Start, hold_the_line, kill_sender, pid_is_alive
from tests.support.judge import accepted, accepted_count, judge
from tests.support.ports import wait_for
from tests.support.redis_server import RedisServer
from tests.support.stack import Stack, send_signal, thaw

pytestmark = [pytest.mark.flow, pytest.mark.timeout(240)]


def test_1_a_sender_killed_at_each_point_of_a_slice_doubles_nobody(
    stack: Stack, faults_redis: RedisServer, start: Start
) -> None:
    hold_the_line(faults_redis, 0.95)
    eye = start(700)
    wait_for(lambda: eye.counts().get("sending"), 60, every=0.01)  # claimed, nothing sent yet
    kill_sender(stack)
    stack.simulator("settings", {"latency_ms": 900})
    before = accepted_count(stack)
    wait_for(lambda: accepted_count(stack) > before, 60)  # in the middle of a POST
    kill_sender(stack)
    killed_at = time.monotonic()
    wait_for(lambda: eye.counts().get("unknown"), LEASE_S + 30, every=0.2)
    taken_up_s = time.monotonic() - killed_at
    stack.simulator("settings", {"latency_ms": 50})
    before = accepted_count(stack)
    wait_for(lambda: accepted_count(stack) > before + 10, 60)  # after the 200
    kill_sender(stack)
    before = eye.counts().get("accepted", 0)
    wait_for(lambda: eye.counts().get("accepted", 0) != before, 60)  # after the result's commit
    kill_sender(stack)
    eye.wait_until_settled(120)
    states = judge(stack, eye, 700)
    assert list(states.values()).count("unknown") <= 4 * 128
    assert taken_up_s <= LEASE_S + 10, "and what it had is taken up within its lease and 10 s"


def test_2_a_horse_that_outlives_its_worker_changes_nothing(stack: Stack, start: Start) -> None:
    stack.simulator("settings", {"latency_ms": 600})
    eye = start(300)
    wait_for(lambda: accepted_count(stack) > 20, 60)
    horses = stack.horses("campaigns")
    stack.signal("campaigns", signal.SIGKILL)
    stack.processes["campaigns"].wait()
    stack.spawn("campaigns")
    eye.wait_until_settled(120)
    states = judge(stack, eye, 300)
    assert "unknown" not in states.values() or not horses, "what it had sent, it wrote down"
    assert not any(pid_is_alive(horse) for horse in horses)


@pytest.mark.parametrize("point", ["before the first POST", "after the first POST"])
def test_3_a_worker_frozen_beyond_its_lease_sends_nothing_that_is_anothers_by_then(
    stack: Stack, faults_redis: RedisServer, start: Start, point: str
) -> None:
    stack.simulator("settings", {"latency_ms": 100})
    if point.startswith("before"):
        hold_the_line(faults_redis, 0.95)
    eye = start(900, "resend")
    if point.startswith("before"):
        wait_for(lambda: eye.counts().get("sending"), 60, every=0.01)
    else:
        wait_for(lambda: accepted_count(stack) > 10, 60, every=0.02)
    frozen = stack.freeze("campaigns")
    stack.spawn("campaigns-2")
    try:
        time.sleep(LEASE_S + 1)  # the freeze itself: it must last longer than the lease
        before = accepted_count(stack)
        wait_for(lambda: accepted_count(stack) > before, 60)
        thaw(frozen)
        eye.wait_until_settled(150)
    finally:
        thaw(frozen)
        os.killpg(stack.processes["campaigns-2"].pid, signal.SIGTERM)
        stack.processes.pop("campaigns-2").wait(60)
    judge(stack, eye, 900)


@pytest.mark.parametrize("off_s", [-600.0, 600.0])
def test_3_a_worker_whose_clock_is_ten_minutes_off_sends_as_the_others_do(
    stack: Stack, start: Start, off_s: float
) -> None:
    stack.spawn("campaigns-2", clock_off_s=off_s)
    eye = start(400)
    eye.wait_until_settled(120)
    frozen = stack.freeze("campaigns")
    try:
        alone = start(100)  # and without the others
        alone.wait_until_settled(120)
    finally:
        thaw(frozen)
        send_signal(stack.processes["campaigns-2"].pid, signal.SIGTERM)
        stack.processes.pop("campaigns-2").wait(60)
    assert not {"unknown", "failed", "skipped"} & eye.counts().keys()
    assert not {"unknown", "failed", "skipped"} & alone.counts().keys()
    assert set(accepted(stack).values()) == {1}
    assert len(accepted(stack)) == 500


def test_7_everything_is_sent_though_nobody_rings_and_redis_is_emptied(
    stack: Stack, faults_redis: RedisServer, start: Start
) -> None:
    eye = start(300)
    for more in (1, 60, 60):
        before = accepted_count(stack)
        wait_for(lambda: accepted_count(stack) >= before + more, 60)  # noqa: B023
        faults_redis.flush()
    eye.wait_until_settled(120)
    judge(stack, eye, 300)
    assert len(accepted(stack)) == 300


def test_8_a_job_that_is_delivered_twice_or_again_after_its_end_sends_nothing_twice(
    stack: Stack, faults_redis: RedisServer, start: Start
) -> None:
    stack.spawn("campaigns-2")
    queue = rq_queue(faults_redis.admin, "campaigns")
    jobs = [queue.enqueue_call("campaigns.send", args=(1,), timeout=180) for _ in range(2)]
    eye = start(400)
    jobs += [queue.enqueue_call("campaigns.send", args=(1,), timeout=180) for _ in range(2)]
    try:
        eye.wait_until_settled(120)
        for job in jobs:  # as RQ does with a job that it takes for abandoned
            queue.push_job_id(job.id)
        wait_for(lambda: queue.count == 0, 60)
    finally:
        send_signal(stack.processes["campaigns-2"].pid, signal.SIGTERM)
        stack.processes.pop("campaigns-2").wait(60)
    judge(stack, eye, 400)
    assert len(accepted(stack)) == 400
