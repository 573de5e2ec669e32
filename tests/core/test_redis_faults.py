"""Fault matrix: during each fault of Redis every feature works without it, and is correct afterwards.

`python -m benchmarks.faults` runs the same and prints the results with times.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from chatbot import create_app
from chatbot.core import redis as prosa_redis
from chatbot.core.db import db
from tests.support.ports import wait_for
from tests.support.redis_degradation import FEATURES, Scenario
from tests.support.redis_faults import FAULTS, RedisFault
from tests.support.redis_server import RedisServer
from tests.support.settings import make_settings


@pytest.fixture
def own_server() -> Iterator[RedisServer]:
    server = RedisServer()
    server.start()
    yield server
    if server.is_running:
        server.thaw()
        server.kill()


@pytest.fixture
def degradable(sqlite_url: str, tmp_path: Path, own_server: RedisServer) -> Iterator[Flask]:
    settings = make_settings(
        tmp_path, DATABASE_URL=sqlite_url, REDIS_URL=own_server.url, WEB_CONCURRENCY=2
    )
    app = create_app(settings)
    app.config.update(TESTING=True, WTF_CSRF_ENABLED=False)
    with app.app_context():
        yield app
        prosa_redis.breaker().on_recovery.clear()
        db.session.rollback()
        db.engine.dispose()


@pytest.mark.parametrize("fault", FAULTS, ids=[fault.name for fault in FAULTS])
def test_each_feature_works_without_redis(
    degradable: Flask, own_server: RedisServer, fault: RedisFault
) -> None:
    scenario, breaker = Scenario(degradable), prosa_redis.breaker()
    features = [feature(scenario) for feature in FEATURES]
    for feature in features:
        feature.prepare()
    assert not breaker.is_open
    fault.inject(own_server)
    for feature in features:
        assert feature.during(), feature.name
    assert breaker.is_open
    assert breaker.trips == 1, "one timeout for the whole process, not one per request"
    fault.repair(own_server)
    wait_for(lambda: not breaker.is_open, 10)
    for feature in features:
        feature.after()
    assert breaker.trips == 1
