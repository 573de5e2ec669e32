from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from chatbot import create_app
from chatbot.core import metrics
from chatbot.core.cache import CacheEntry, CacheSpec
from chatbot.core.db import db
from chatbot.core.tasks import enqueue_job
from chatbot.delivery.models import MessageState
from chatbot.extensions import cache
from tests.support.factories import (
    make_campaign,
    make_contact,
    make_conversation,
    make_message_value,
    make_recipients,
    make_webhook_body,
    signature_headers,
)
from tests.support.redis_server import RedisServer
from tests.support.settings import environment, make_settings

FAR = {"REMOTE_ADDR": "203.0.113.9"}
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def read_samples(client: FlaskClient, **options: object) -> Samples:
    """Return every sample by its name and labels, read by the parser of Prometheus."""
    answer = client.get("/metrics", **options)  # type: ignore[arg-type]
    assert answer.status_code == 200, answer.text
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def sample_value(samples: Samples, name: str, **labels: str) -> float:
    return samples[name, frozenset(labels.items())]


def test_redis_metrics_and_both_hit_rates(client: FlaskClient) -> None:
    for _ in range(4):
        cache.get_or_compute(
            CacheEntry(CacheSpec("contact", dict[str, str], fresh_s=60), 1, lambda: {"name": "Ana"})
        )
    found = read_samples(client)
    assert sample_value(found, "redis_up") == 1
    assert sample_value(found, "redis_connected_clients") >= 1
    assert sample_value(found, "redis_used_memory_bytes") > 100_000
    assert sample_value(found, "redis_hit_rate", source="prosa") == 75
    assert 0 < sample_value(found, "redis_hit_rate", source="server") <= 100
    assert sample_value(found, "prosa_redis_breaker_open", role="web") == 0
    assert sample_value(found, "prosa_redis_pool_size", role="web") >= 1
    assert sample_value(found, "prosa_redis_commands_total") > 4


def test_responses_are_counted_by_route_and_status_with_durations(client: FlaskClient) -> None:
    for path in ("/health/live", "/health/live", "/contacts/1", "/nowhere"):
        client.get(path)
    found = read_samples(client)
    live = {"method": "GET", "route": "/health/live", "status": "200"}
    assert sample_value(found, "prosa_http_requests_total", **live) == 2
    unknown = {"method": "GET", "route": "(none)", "status": "404"}
    assert sample_value(found, "prosa_http_requests_total", **unknown) == 1
    buckets = [
        (float(dict(labels)["le"]), value)
        for (name, labels), value in found.items()
        if name == "prosa_http_request_seconds_bucket" and dict(labels)["route"] == "/health/live"
    ]
    assert [value for _, value in sorted(buckets)] == sorted(value for _, value in buckets)
    assert dict(buckets)[float("inf")] == 2
    assert sample_value(found, "prosa_http_request_seconds_count", route="/health/live") == 2


def test_webhooks_are_counted_by_outcome(client: FlaskClient) -> None:
    raw = make_webhook_body(make_message_value("oi"))
    client.post("/webhooks/whatsapp", data=raw, headers=signature_headers(raw))
    client.post("/webhooks/whatsapp", data=raw, headers=signature_headers(b"other"))
    found = read_samples(client)
    assert sample_value(found, "prosa_webhooks_total", outcome="stored") == 1
    assert sample_value(found, "prosa_webhooks_total", outcome="refused") == 1
    assert sample_value(found, "prosa_queue_length", queue="inbound") == 1
    assert sample_value(found, "prosa_queue_oldest_seconds", queue="inbound") >= 0


def test_backlog_and_messages_are_counted_in_sql(any_app: Flask) -> None:
    campaign = make_campaign()
    make_recipients(campaign, 3)
    make_recipients(campaign, 2, state=MessageState.READ)
    make_recipients(make_campaign("paused"), 4)
    make_conversation(make_contact())
    enqueue_job("campaigns.send", campaign.channel_id)
    found = read_samples(any_app.test_client())
    assert sample_value(found, "prosa_queue_length", queue="campaigns") == 3
    assert sample_value(found, "prosa_messages", ledger="recipients", state="queued") == 7
    assert sample_value(found, "prosa_messages", ledger="recipients", state="read") == 2
    assert sample_value(found, "prosa_rq_jobs", queue="campaigns") == 1
    assert sample_value(found, "prosa_rq_oldest_seconds", queue="campaigns") >= 0
    assert sample_value(found, "prosa_workers", queue="inbound") == 0


def test_metrics_without_redis_count_the_outage(
    client: FlaskClient, redis_server: RedisServer
) -> None:
    redis_server.kill()
    client.get("/health")
    found = read_samples(client)
    assert sample_value(found, "redis_up") == 0
    assert sample_value(found, "prosa_redis_breaker_open", role="web") == 1
    assert sample_value(found, "prosa_redis_breaker_trips_total") == 1
    assert sample_value(found, "prosa_database_up") == 1
    assert ("redis_used_memory_bytes", frozenset()) not in found


def test_hanging_redis_is_counted_as_timeouts(
    client: FlaskClient, redis_server: RedisServer
) -> None:
    client.get("/health")
    redis_server.freeze()
    client.get("/health")
    redis_server.thaw()
    assert sample_value(read_samples(client), "prosa_redis_timeouts_total") >= 1


COUNT_IN_A_PROCESS = """
from chatbot import create_app
from chatbot.core import metrics
with create_app().app_context(), metrics.reporting_as("statuses"):
    metrics.count("deliveries", 5, ledger="messages", result="accepted")
    print("ready", flush=True)
    input()
"""


def test_sums_and_live_processes_include_other_processes(app: Flask, tmp_path: Path) -> None:
    metrics.count("deliveries", 2, ledger="messages", result="accepted")
    url = str(db.engine.url)
    other = subprocess.Popen(
        [sys.executable, "-c", COUNT_IN_A_PROCESS],
        env={"PATH": os.environ["PATH"], **environment(tmp_path, DATABASE_URL=url)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert other.stdout is not None
    assert other.stdin is not None
    try:
        assert other.stdout.readline() == b"ready\n"
        assert sample_value(read_samples(app.test_client()), "prosa_workers", queue="statuses") == 1
        other.communicate(b"\n", timeout=60)
    finally:
        other.kill()
    found = read_samples(app.test_client())
    assert sample_value(found, "prosa_deliveries_total", ledger="messages", result="accepted") == 7
    assert sample_value(found, "prosa_workers", queue="statuses") == 0


def test_forked_child_does_not_count_its_parents_counts_again(app: Flask) -> None:
    metrics.count("webhooks", 3, outcome="stored")
    db.engine.dispose()
    pid = os.fork()
    if pid == 0:
        metrics.count("webhooks", 1, outcome="stored")
        metrics.flush()
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert (
        sample_value(read_samples(app.test_client()), "prosa_webhooks_total", outcome="stored") == 4
    )


def test_counts_are_kept_while_the_database_is_down(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise db_error

    db_error = metrics.sa.exc.OperationalError("INSERT", {}, Exception("away"))
    metrics.count("webhooks", 3, outcome="stored")
    with monkeypatch.context() as patch:
        patch.setattr(metrics, "_add_to_sums", away)
        metrics.flush()
    assert (
        sample_value(read_samples(app.test_client()), "prosa_webhooks_total", outcome="stored") == 3
    )


@pytest.mark.parametrize(
    ("address", "headers", "status"),
    [
        ("127.0.0.1", {}, 200),
        ("::1", {}, 200),
        ("203.0.113.9", {}, 403),
        ("203.0.113.9", {"X-Forwarded-For": "127.0.0.1"}, 403),
        ("127.0.0.1", {"X-Forwarded-For": "203.0.113.9"}, 403),
        ("127.0.0.1", {"X-Forwarded-For": "127.0.0.1"}, 403),
        ("", {}, 403),
        ("203.0.113.9", {"Authorization": "Bearer right-token"}, 200),
        ("203.0.113.9", {"Authorization": "bearer  right-token"}, 200),
        ("203.0.113.9", {"Authorization": "Bearer wrong"}, 403),
        ("203.0.113.9", {"Authorization": "Basic right-token"}, 403),
        ("203.0.113.9", {"Authorization": "Bearer é"}, 403),
        ("203.0.113.9", {"Authorization": ""}, 403),
    ],
)
@pytest.mark.parametrize("proxies", [0, 1])
def test_access_needs_the_token_or_this_machine(
    app: Flask, tmp_path: Path, address: str, headers: dict[str, str], status: int, proxies: int
) -> None:
    settings = make_settings(
        tmp_path,
        DATABASE_URL=str(db.engine.url),
        METRICS_TOKEN="right-token",
        TRUSTED_PROXIES=proxies,
    )
    client = create_app(settings).test_client()
    answer = client.get("/metrics", headers=headers, environ_base={"REMOTE_ADDR": address})
    assert answer.status_code == status


def test_no_token_is_accepted_if_none_is_configured(client: FlaskClient) -> None:
    for given in ("Bearer ", "Bearer", "Bearer None"):
        answer = client.get("/metrics", headers={"Authorization": given}, environ_base=FAR)
        assert answer.status_code == 403


@pytest.mark.parametrize("token", ["right-token", ""])
def test_in_production_a_local_request_without_the_token_is_refused(
    app: Flask, tmp_path: Path, token: str
) -> None:
    """A proxy on this machine that adds no forwarding header looks the same."""
    settings = make_settings(
        tmp_path,
        PROSA_ENV="production",
        COMPANY_NAME="Prosa",
        DATABASE_URL=str(db.engine.url),
        METRICS_TOKEN=token,
    )
    client = create_app(settings).test_client()
    for given in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer "}):
        assert client.get("/metrics", headers=given).status_code == 403
    answer = client.get(
        "/metrics", headers={"Authorization": "Bearer right-token"}, environ_base=FAR
    )
    assert answer.status_code == (200 if token else 403)
