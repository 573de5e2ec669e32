"""One stack for all tests of faults: short leases, and rows in doubt are settled within seconds."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask

from benchmarks.campaign_rows import make_running_campaign
from chatbot import create_app
from chatbot.campaigns.models import Campaign, OnDoubt
from chatbot.channels.service import get_default_channel
from chatbot.core.db import db
from tests.support.delivery_audit import CampaignObserver
from tests.support.redis_server import RedisServer
from tests.support.settings import make_settings
from tests.support.stack import Stack, send_signal

TIMEOUT_S = 2
LEASE_S = 3 * TIMEOUT_S
PROCESSES = ("simulator", "web", "statuses", "campaigns", "maintenance", "scheduler")
FAST_RECEIPTS = {"read_min_s": 0.2, "read_max_s": 0.5, "batch_size": 200}

StartCampaign = Callable[..., CampaignObserver]


@pytest.fixture(scope="package")
def faults_redis() -> Iterator[RedisServer]:
    server = RedisServer()
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="package")
def faults_stack(
    faults_redis: RedisServer, _migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    home = tmp_path_factory.mktemp("faults")
    (home / "prosa.db").write_bytes(_migrated_sqlite.read_bytes())
    stack = Stack(
        home,
        f"sqlite:///{home / 'prosa.db'}",
        faults_redis.url,
        MESSAGES_PER_SECOND=100,
        CAMPAIGN_WORKERS=2,
        DOUBT_WINDOW_S=4,
        WHATSAPP_TIMEOUT_S=TIMEOUT_S,
    )
    yield stack.start(*PROCESSES)
    stack.stop()


@pytest.fixture
def stack(faults_stack: Stack) -> Stack:
    """Return the stack with all processes running and an empty log."""
    for name in PROCESSES:
        if faults_stack.processes[name].poll() is not None:
            faults_stack.spawn(name)
    faults_stack.simulator("reset", {"keep_settings": False})
    faults_stack.simulator("settings", FAST_RECEIPTS)
    return faults_stack


@pytest.fixture
def own_app(stack: Stack, faults_redis: RedisServer) -> Iterator[Flask]:
    """Return an application on the stack's database that wakes no worker."""
    settings = make_settings(stack.home, DATABASE_URL=stack.database_url, REDIS_URL=None)
    app = create_app(settings)
    with app.app_context():
        yield app
        db.session.rollback()
        db.engine.dispose()


@pytest.fixture
def start(stack: Stack, own_app: Flask) -> Iterator[StartCampaign]:
    """Return `start(people, on_doubt)`, which makes a running campaign and wakes no worker."""
    observers = []

    def begin(people: int, on_doubt: str = OnDoubt.SHOW) -> CampaignObserver:
        campaign_id = make_running_campaign(get_default_channel(), people)
        db.session.get_one(Campaign, campaign_id).on_doubt = on_doubt
        db.session.commit()
        observers.append(CampaignObserver(stack.database_url, campaign_id))
        return observers[-1]

    yield begin
    for observer in observers:
        observer.close()


def kill_sender(stack: Stack, name: str = "campaigns") -> None:
    """Kill the process that sends: the job's child, or the worker itself while it polls."""
    job_processes = stack.job_processes(name)
    for pid in job_processes:
        send_signal(pid, signal.SIGKILL)
    if not job_processes:
        stack.kill(name)
        stack.spawn(name)


def block_throttle(server: RedisServer, seconds: float) -> None:
    """Reserve the rate for so long: rows claimed meanwhile stay with the worker, unsent."""
    server.admin.hset("prosa:throttle:1", "free", f"{time.time() + seconds:.6f}")


def pid_is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
