"""Metrics for Prometheus, summed over all processes. Without Redis, its own metrics are left out."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from contextvars import copy_context
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from chatbot.core import clock, metrics
from chatbot.core import redis as prosa_redis
from chatbot.core.db import db, mark_request_writable, read_only
from chatbot.core.metrics import list_live_processes, read_sums
from chatbot.core.tasks import QUEUES, TASKS, TaskJob, get_rq_queue
from chatbot.ops.backlog import count_double_acceptances, count_messages_by_state, measure_backlogs
from chatbot.ops.cache_stats import get_cache_stats
from chatbot.ops.redis_status import get_redis_status
from chatbot.ops.request_metrics import BUCKET_LABELS

log = logging.getLogger(__name__)

# Sums of core.metrics: the metric's name, help text and labels.
COUNTERS = {
    "redis_trips": ("prosa_redis_breaker_trips", "Times a process went on without Redis.", ()),
    "redis_commands": ("prosa_redis_commands", "Calls to Redis that waited for an answer.", ()),
    "redis_timeouts": ("prosa_redis_timeouts", "Commands that Redis did not answer in time.", ()),
    "http_requests": ("prosa_http_requests", "HTTP responses.", ("method", "route", "status")),
    "webhooks": (
        "prosa_webhooks",
        "Webhooks: stored, refused (signature), failed (no database), parked (quarantined).",
        ("outcome",),
    ),
    "deliveries": (
        "prosa_deliveries",
        "Attempts to send a message, by result.",
        ("ledger", "result"),
    ),
    "live": (
        "prosa_live",
        "Live pages: events received (hints) and invalid ones (garbage); unexpected messages of "
        "pages (strange); connections that were refused, or closed as slow or silent.",
        ("event",),
    ),
}
RQ_QUEUES = tuple(q for q in QUEUES if any(t.queue == q and not t.is_loop for t in TASKS.values()))


class _Collector:
    """Collector of the current values, called by `generate_latest`."""

    def collect(self) -> Iterator[Metric]:
        yield from _redis_metrics()
        database_up = True
        for part in (_counter_metrics, _process_metrics, _backlog_metrics):
            try:
                found = list(part())
            except sa.exc.SQLAlchemyError:
                log.exception("the database does not answer")
                database_up = False
                continue
            yield from found
        yield _gauge("prosa_database_up", "Whether SQL answers.", int(database_up))


def render_metrics() -> bytes:
    """Render the metrics page. It leaves out what is unavailable instead of failing."""
    # In a copy of the context: the request itself is read-only.
    copy_context().run(_flush)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector())
    return generate_latest(registry)


def _flush() -> None:
    """Write what this process has counted since its last flush."""
    mark_request_writable()
    metrics.flush()


def _gauge(
    name: str,
    text: str,
    value: float | None = None,
    labels: Iterable[str] = (),
    rows: Iterable[tuple[tuple[str, ...], float]] = (),
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=tuple(labels) or None)
    if value is not None:
        family.add_metric([], value)
    for values, number in rows:
        family.add_metric(values, number)
    return family


def _redis_metrics() -> Iterator[Metric]:
    facts = get_redis_status()
    yield _gauge("redis_up", "Whether this process uses Redis.", int(facts.is_used))
    rates = [(("prosa",), get_cache_stats()["hit_rate"])]
    if facts.server_hit_rate is not None:
        rates.append((("server",), facts.server_hit_rate))
    yield _gauge("redis_hit_rate", "Percent of look-ups.", labels=["source"], rows=rates)
    if not facts.is_used:
        return
    yield _gauge("redis_connected_clients", "Connections of all clients.", facts.clients)
    yield _gauge("redis_max_clients", "Connections that are allowed.", facts.max_clients)
    yield _gauge("redis_used_memory_bytes", "Memory in use.", facts.used_memory)
    yield _gauge("redis_max_memory_bytes", "Memory allowed; 0: no limit.", facts.max_memory)
    yield CounterMetricFamily(
        "redis_evicted_keys", "Keys evicted for lack of memory.", value=facts.evicted_keys
    )
    by_name = [((name,), float(number)) for name, number in facts.clients_by_name.items()]
    yield _gauge(
        "prosa_redis_connections", "Connections of Prosa, by use.", labels=["client"], rows=by_name
    )
    yield from _rq_metrics()


def _rq_metrics() -> Iterator[Metric]:
    """Yield the number and age of jobs in RQ's lists; `prosa_queue_length` counts the work in SQL."""
    client = prosa_redis.client()
    queues = [get_rq_queue(client, name) for name in RQ_QUEUES]
    try:
        with client.pipeline(transaction=False) as pipe:
            for queue in queues:
                pipe.llen(queue.key)
                pipe.lindex(queue.key, 0)
            answers = pipe.execute()
            for first in answers[1::2]:
                pipe.hget(TaskJob.key_for(_text(first)), "enqueued_at")
            moments = pipe.execute()
    except prosa_redis.RedisError:
        return
    lengths = [((q.name,), float(n)) for q, n in zip(queues, answers[0::2], strict=True)]
    ages = [((q.name,), _age_of(m)) for q, m in zip(queues, moments, strict=True)]
    yield _gauge("prosa_rq_jobs", "Jobs waiting in RQ.", labels=["queue"], rows=lengths)
    yield _gauge("prosa_rq_oldest_seconds", "Age of the first job.", labels=["queue"], rows=ages)


def _text(raw: Any) -> str:
    return raw.decode("utf-8", "replace") if isinstance(raw, bytes) else ""


def _age_of(enqueued_at: Any) -> float:
    """Return the seconds since RQ's `enqueued_at`; 0 if there is none."""
    try:
        moment = datetime.fromisoformat(_text(enqueued_at))
    except ValueError:
        return 0.0
    return max(0.0, (clock.now() - moment).total_seconds())


def _counter_metrics() -> Iterator[Metric]:
    with read_only(), db.engine.connect() as connection:
        sums = read_sums(connection)
    for name, (shown, text, labels) in COUNTERS.items():
        family = CounterMetricFamily(shown, text, labels=labels)
        for found, value in sums.get(name, ()):
            family.add_metric([found.get(label, "") for label in labels], value)
        yield family
    yield _latency_histogram(sums)


def _latency_histogram(
    sums: dict[str, list[tuple[dict[str, str], float]]],
) -> HistogramMetricFamily:
    """Build the histogram. Its buckets are cumulative, while our sums count each response in one bucket."""
    family = HistogramMetricFamily("prosa_http_request_seconds", "Response time.", labels=["route"])
    seconds = {found["route"]: value for found, value in sums.get("http_seconds", ())}
    counts: dict[str, Counter[str]] = {}
    for found, value in sums.get("http_buckets", ()):
        counts.setdefault(found["route"], Counter())[found["le"]] = int(value)
    for route, by_label in counts.items():
        so_far, buckets = 0.0, []
        for label in BUCKET_LABELS:
            so_far += by_label[label]
            buckets.append((label, so_far))
        family.add_metric([route], buckets, sum_value=seconds.get(route, 0.0))
    return family


def _process_metrics() -> Iterator[Metric]:
    with read_only(), db.engine.connect() as connection:
        processes = list_live_processes(connection)
    alive = Counter(dict.fromkeys((*QUEUES, "scheduler"), 0))
    alive.update(role for role, _gauges in processes)
    rows = [((role,), float(number)) for role, number in alive.items()]
    yield _gauge("prosa_workers", "Live processes, by role.", labels=["queue"], rows=rows)
    sums: dict[str, Counter[str]] = {}
    for role, gauges in processes:
        for name, value in gauges.items():
            sums.setdefault(name, Counter())[role] += int(value)
    for name, text in REDIS_GAUGES.items():
        rows = [((role,), float(value)) for role, value in sums.get(name, {}).items()]
        yield _gauge(f"prosa_redis_{name}", text, labels=["role"], rows=rows)


REDIS_GAUGES = {
    "breaker_open": "Processes that run without Redis.",
    "pool_in_use": "Connections in use.",
    "pool_size": "Maximum connections of the pools.",
}


def _backlog_metrics() -> Iterator[Metric]:
    backlogs = measure_backlogs()
    yield _gauge(
        "prosa_queue_length",
        "Work that is due, by SQL.",
        labels=["queue"],
        rows=[((name,), float(backlog.count)) for name, backlog in backlogs.items()],
    )
    yield _gauge(
        "prosa_queue_oldest_seconds",
        "How long the oldest has been due.",
        labels=["queue"],
        rows=[((name,), backlog.age_s) for name, backlog in backlogs.items()],
    )
    yield _gauge(
        "prosa_double_acceptances",
        "Messages of the last 24 hours that WhatsApp accepted twice.",
        count_double_acceptances(),
    )
    yield _gauge(
        "prosa_messages",
        "Messages of the last 24 hours.",
        labels=["ledger", "state"],
        rows=[(key, float(number)) for key, number in count_messages_by_state().items()],
    )
