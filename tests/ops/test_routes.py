from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from chatbot.core import metrics
from chatbot.core.cache import CacheEntry, CacheSpec
from chatbot.core.db import db
from chatbot.extensions import cache
from chatbot.ops.health import FEATURE_MODES
from tests.support.call_counts import RedisProxy, count_sql
from tests.support.factories import ago
from tests.support.ports import wait_for
from tests.support.redis_server import RedisServer


def test_shape_of_the_health_answer(client: FlaskClient) -> None:
    answer = client.get("/health")
    assert answer.status_code == 200
    assert list(answer.json)[:2] == ["status", "checks"]
    assert answer.json["status"] == "healthy"
    assert answer.json["checks"]["database"] is True
    assert answer.json["checks"]["redis"] is True
    assert isinstance(answer.json["checks"]["timestamp"], int)


def test_health_counts_a_worker_in_a_long_batch_and_after_flushall(
    client: FlaskClient, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "FLUSH_EVERY_S", 0.05)
    with metrics.reporting_as("maintenance"):
        # The main thread reports no more, as in a batch that takes long.
        db.session.execute(sa.update(metrics.ProcessReport).values(seen_at=ago(3600)))
        db.session.commit()
        redis_server.admin.flushall()
        wait_for(lambda: count_workers(client) == {"maintenance": 1})
    assert count_workers(client) == {}


def count_workers(client: FlaskClient) -> dict[str, int]:
    found: dict[str, int] = client.get("/health").json["checks"]["workers"]
    return found


def test_health_names_workers_only(app: Flask, client: FlaskClient) -> None:
    for number, role in enumerate(("web", "job", "inbound", "inbound", "scheduler")):
        row = {"process": f"host:{number}", "role": role, "gauges": {}, "seen_at": ago(1)}
        db.session.execute(sa.insert(metrics.ProcessReport).values(**row))
    db.session.commit()
    assert count_workers(client) == {"inbound": 2, "scheduler": 1}


def test_health_without_redis_is_degraded_with_200(
    client: FlaskClient, redis_server: RedisServer
) -> None:
    redis_server.kill()
    answer = client.get("/health")
    assert (answer.status_code, answer.json["status"]) == (200, "degraded")
    assert answer.json["checks"]["redis"] is False


def lose_database() -> None:
    path = Path(str(db.engine.url.database))
    db.engine.dispose()
    for file in path.parent.glob("prosa.db*"):
        file.unlink()
    path.mkdir()  # a folder can't be opened as a database


def test_health_without_database_is_unhealthy_with_503(app: Flask, client: FlaskClient) -> None:
    lose_database()
    answer = client.get("/health")
    assert (answer.status_code, answer.json["status"]) == (503, "unhealthy")


def test_cache_stats_count_by_namespace(client: FlaskClient) -> None:
    spec = CacheSpec("contact", dict[str, str], fresh_s=60)
    for _ in range(4):
        cache.get_or_compute(CacheEntry(spec, 1, lambda: {"name": "Ana"}))
    found = client.get("/cache/stats").json
    assert found["namespaces"]["contact"]["hits"] == 3
    assert found["namespaces"]["contact"]["misses"] == 1
    assert found["namespaces"]["contact"]["hit_rate"] == 75.0
    assert found["hit_rate"] == 75.0
    assert found["namespaces"]["contact"]["bytes"] > 0
    assert len(found["history"]) == 24
    assert sum(hour["misses"] for hour in found["history"][-2:]) == 1
    assert found["history"][-1]["hour"].endswith(":00:00+00:00")


def test_health_shows_the_mode_of_each_feature(
    client: FlaskClient, redis_server: RedisServer
) -> None:
    assert set(client.get("/health").json["checks"]["modes"].values()) == {"redis"}
    redis_server.kill()
    modes = client.get("/health").json["checks"]["modes"]
    assert modes["rate_limits"] == "memory"
    assert modes["sessions"] == modes["cache"] == "database"
    assert modes["queue"] == modes["live_pages"] == "polling"
    assert set(modes) == set(FEATURE_MODES)


def test_ready_checks_the_database_and_live_checks_nothing(
    app: Flask, client: FlaskClient, redis_server: RedisServer
) -> None:
    redis_proxy = RedisProxy(redis_server.url)
    with redis_proxy.count_round_trips() as trips, count_sql(db.engine) as statements:
        assert client.get("/health/live").json == {"status": "healthy"}
    assert (trips.number, statements.number) == (0, 0)
    redis_server.kill()
    assert client.get("/health/ready").status_code == 200
    lose_database()
    answer = client.get("/health/ready")
    assert (answer.status_code, answer.json["checks"]["database"]) == (503, False)
    assert client.get("/health/live").status_code == 200
    redis_proxy.close()
