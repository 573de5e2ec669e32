from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from html import unescape
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask

from chatbot import create_app
from chatbot.accounts.models import Role
from chatbot.core import metrics
from chatbot.core import redis as prosa_redis
from chatbot.core.cache import stats
from chatbot.core.db import db, db_now
from chatbot.core.live_events import PUBSUB_CHANNEL, LiveEventKind, parse_live_event
from chatbot.core.tasks import QUEUES
from chatbot.delivery.models import DoubleAcceptance
from chatbot.extensions import get_settings
from chatbot.ops import alerts
from chatbot.ops.models import Alert, AlertState
from chatbot.ops.tasks import check_alerts, list_due_alert_checks
from tests.support.alert_receiver import AlertReceiver
from tests.support.clients import make_signed_in_client
from tests.support.factories import ago
from tests.support.panel import make_contact, make_conversation, make_message
from tests.support.ports import wait_for
from tests.support.redis_server import RedisServer
from tests.support.settings import make_settings


@pytest.fixture
def watched(
    database_url: str, tmp_path: Path, redis_server: RedisServer, receiver: AlertReceiver
) -> Iterator[Flask]:
    """Make an application that sends alerts to the receiver at once, with all workers reported alive."""
    made = create_app(
        make_settings(
            tmp_path,
            DATABASE_URL=database_url,
            REDIS_URL=redis_server.url,
            ALERT_URLS=receiver.url,
            ALERT_HOLD_S=0,
            PROSA_LOCALE="en",
        )
    )
    made.config.update(TESTING=True, WTF_CSRF_ENABLED=False)
    with made.app_context():
        for number, role in enumerate((*QUEUES, "scheduler")):
            row = {"process": f"host:{number}", "role": role, "gauges": {}, "seen_at": ago(-3600)}
            db.session.execute(sa.insert(metrics.ProcessReport).values(**row))
        db.session.commit()
        yield made
        db.session.rollback()
        made.extensions["prosa_metrics"].stop()
        made.extensions["prosa_redis"].pool.breaker.on_recovery.clear()
        db.engine.dispose()
    made.extensions["prosa_redis"].pool.disconnect()
    redis_server.admin.connection_pool.disconnect()


def evaluate_again() -> None:
    """Evaluate the alerts as if the interval had passed."""
    db.session.execute(sa.update(Alert).values(due_at=db_now(-1)))
    db.session.commit()
    check_alerts()


def state_of(name: str) -> str:
    found = db.session.scalar(sa.select(Alert.state).where(Alert.name == name))
    db.session.rollback()
    return str(found)


def test_redis_outage_is_notified_once_and_its_end_once(
    watched: Flask, redis_server: RedisServer, receiver: AlertReceiver
) -> None:
    check_alerts()
    assert receiver.received == []
    redis_server.kill()
    for _ in range(3):
        evaluate_again()
    assert receiver.titles() == ["Redis is down"]
    assert "Connection" in receiver.received[0]["message"]
    assert receiver.received[0]["type"] == "failure"
    page = (
        make_signed_in_client(watched, Role.MANAGER)[0]
        .get("/", headers={"Accept-Language": "en"})
        .text
    )
    assert "Redis is down" in page
    redis_server.start()
    wait_for(lambda: not prosa_redis.breaker().is_open)
    for _ in range(3):
        evaluate_again()
    assert receiver.titles() == ["Redis is down", "Redis is down"]
    assert receiver.received[1]["message"] == "It has ended."
    assert receiver.received[1]["type"] == "success"


def test_full_redis_is_notified_and_shown_until_there_is_room(
    watched: Flask, redis_server: RedisServer, receiver: AlertReceiver
) -> None:
    client, _ = make_signed_in_client(watched, Role.MANAGER)
    redis_server.admin.setrange("other:large", 30_000_000, b"x")
    used = redis_server.admin.info()["used_memory"]
    redis_server.admin.config_set("maxmemory", int(used * 1.15))  # leaves room for our own keys
    try:
        evaluate_repeatedly(2)
        assert receiver.titles() == ["Redis is almost out of memory"]
        page = client.get("/redis/", headers={"Accept-Language": "en"}).text
        assert "Redis is almost out of memory" in page
        assert "Redis is almost out" in client.get("/now", headers={"Accept-Language": "en"}).text
    finally:
        redis_server.admin.config_set("maxmemory", "128mb")
    evaluate_repeatedly(2)
    assert receiver.titles() == ["Redis is almost out of memory"] * 2
    wait_for(
        lambda: "Redis is almost out" not in client.get("/redis/now").text, seconds=20, every=0.5
    )


def test_live_event_is_published_only_when_an_alert_changes(
    watched: Flask, redis_server: RedisServer
) -> None:
    client, _ = make_signed_in_client(watched, Role.MANAGER)
    check_alerts()
    with redis_server.admin.pubsub(ignore_subscribe_messages=True) as pubsub:
        pubsub.subscribe(PUBSUB_CHANNEL)
        wait_for(lambda: redis_server.admin.pubsub_numsub(PUBSUB_CHANNEL)[0][1] == 1)
        pubsub.get_message(timeout=1)
        assert "No worker" not in client.get("/now", headers={"Accept-Language": "en"}).text
        db.session.execute(sa.delete(metrics.ProcessReport))
        db.session.commit()
        evaluate_repeatedly(3)
        live_events = [h for _ in range(6) if (h := pubsub.get_message(timeout=0.5)) is not None]
    assert [parse_live_event(live_event["data"]).kind for live_event in live_events] == [
        LiveEventKind.HEALTH
    ]  # type: ignore[union-attr]
    page = client.get("/now", headers={"Accept-Language": "en"}).text
    assert all(notice.title in unescape(page) for notice in alerts.list_firing_alerts())
    assert alerts.list_firing_alerts()


def evaluate_repeatedly(times: int) -> None:
    for _ in range(times):
        evaluate_again()


def test_only_one_process_evaluates(watched: Flask) -> None:
    evaluated: list[bool] = []

    def one() -> None:
        with watched.app_context():
            evaluated.append(alerts.evaluate_alerts(lambda _notice: True))

    check_alerts()
    db.session.execute(sa.update(Alert).values(due_at=db_now(-1)))
    db.session.commit()
    threads = [threading.Thread(target=one) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(evaluated) == [False] * 5 + [True]
    assert list_due_alert_checks() == []


def test_undelivered_notification_is_sent_again(watched: Flask, receiver: AlertReceiver) -> None:
    make_double()
    receiver.status = 500
    evaluate_repeatedly(2)
    assert (receiver.received, state_of("double_acceptance")) == ([], "firing")
    receiver.status = 200
    evaluate_repeatedly(2)
    assert receiver.titles() == ["A message was accepted twice"]


def make_double() -> None:
    row = DoubleAcceptance(send_table="r", row_id=1, attempt=2, wamid="wamid.two", seen_at=ago(60))
    db.session.add(row)
    db.session.commit()


def get_fired_alert(watched: Flask, name: str) -> alerts.AlertNotice:
    """Evaluate the alerts and return the one that fires."""
    evaluate_again()
    found = [notice for notice in alerts.list_firing_alerts() if notice.name == name]
    assert len(found) == 1, [notice.name for notice in alerts.list_firing_alerts()]
    return found[0]


def missing_worker(_watched: Flask, _redis: RedisServer) -> None:
    dead = metrics.ProcessReport.role == "statuses"
    db.session.execute(sa.update(metrics.ProcessReport).where(dead).values(seen_at=ago(120)))
    db.session.commit()


def stuck_queue(_watched: Flask, _redis: RedisServer) -> None:
    conversation = make_conversation(make_contact())
    make_message(conversation, "olá", author="bot", state="queued", due_at=ago(900))


def webhook_backlog(_watched: Flask, _redis: RedisServer) -> None:
    db.session.execute(
        sa.text(
            "INSERT INTO webhook_bodies (received_at, queue, raw, state) "
            "SELECT :now, 'statuses', :raw, 'new' FROM "
            "(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5001) "
            "SELECT i FROM n) AS numbers"
        ),
        {"now": ago(1), "raw": b"{}"},
    )
    db.session.commit()


def evictions(_watched: Flask, redis: RedisServer) -> None:
    evaluate_again()
    used = redis.admin.info()["used_memory"]
    redis.admin.config_set("maxmemory", used + 3_000_000)
    with redis.admin.pipeline(transaction=False) as pipe:
        for number in range(200):
            pipe.set(f"other:{number}", b"x" * 50_000, ex=600)
        pipe.execute()
    assert redis.admin.info()["evicted_keys"] > 0
    redis.admin.config_set("maxmemory", "128mb")


def low_hit_rate(_watched: Flask, _redis: RedisServer) -> None:
    evaluate_again()
    for outcome, number in (("hits", 200), ("misses", 800)):
        for _ in range(number):
            stats.count_lookup("contact:1", outcome)


def many_connections(watched: Flask, redis: RedisServer) -> None:
    """Exceed a limit of 20 connections."""
    settings = replace(get_settings(watched), alert_connections=20)
    watched.extensions["prosa_settings"] = settings
    pool = redis.admin.connection_pool
    for connection in [pool.get_connection() for _ in range(25)]:
        pool.release(connection)  # stays open


@pytest.mark.parametrize(
    ("break_something", "name", "text"),
    [
        (missing_worker, "no_worker", "statuses"),
        (stuck_queue, "queue_stuck", "replies"),
        (webhook_backlog, "webhook_backlog", "5001"),
        (evictions, "redis_evictions", "volatile-ttl"),
        (low_hit_rate, "redis_hit_rate", "20.0 %"),
        (many_connections, "redis_connections", "are open"),
    ],
)
def test_each_problem_fires_its_alert(
    watched: Flask,
    redis_server: RedisServer,
    break_something: Callable[[Flask, RedisServer], None],
    name: str,
    text: str,
) -> None:
    break_something(watched, redis_server)
    assert text in get_fired_alert(watched, name).sentence


def test_a_flickering_condition_is_not_notified() -> None:
    alert = Alert(name="redis_down", state=AlertState.QUIET, values={})
    holds, holds_not = alerts.RuleResult(True, {}), alerts.RuleResult(False, {})
    now = ago(1000)
    for seconds, result in ((0, holds), (30, holds_not), (40, holds), (90, holds)):
        alerts.apply_result(alert, result, now + timedelta(seconds=seconds), 60)
        assert alert.state == AlertState.QUIET
    alerts.apply_result(alert, alerts.RuleResult(None, {}), now + timedelta(seconds=200), 60)
    assert alert.state == AlertState.QUIET
    alerts.apply_result(alert, holds, now + timedelta(seconds=101), 60)
    assert alert.state == AlertState.FIRING
    alerts.apply_result(alert, holds_not, now + timedelta(seconds=110), 60)
    assert alert.state == AlertState.FIRING
    alerts.apply_result(alert, holds_not, now + timedelta(seconds=171), 60)
    assert alert.state == AlertState.QUIET
