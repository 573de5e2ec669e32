"""Alert rules: a table of pure functions over the facts of one evaluation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from chatbot.core.i18n import N_
from chatbot.core.tasks import QUEUES
from chatbot.ops.backlog import Backlog
from chatbot.ops.redis_status import RedisStatus
from config import Settings

Values = Mapping[str, Any]

EVICTIONS_QUIET_S = 600  # the alert ends after this time without an eviction
MIN_LOOKUPS = 500  # the hit rate of fewer look-ups is not significant


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemFacts:
    """State of the system. `at` is a Unix time; `workers` counts live processes by role."""

    at: float
    redis: RedisStatus
    cache_hits: int = 0
    cache_misses: int = 0
    backlogs: Mapping[str, Backlog] = field(default_factory=dict)
    workers: Mapping[str, int] = field(default_factory=dict)
    double_acceptances: int = 0


@dataclass(frozen=True, slots=True)
class RuleResult:
    """Result of a rule; `holds` is None if it can't be determined.

    `values` fill the placeholders of the sentence, and are passed to the rule at its next evaluation.
    """

    holds: bool | None
    values: Values


RuleFunction = Callable[[SystemFacts, Settings, Values], RuleResult]


@dataclass(frozen=True, slots=True)
class AlertRule:
    """An alert: its texts and its rule. A debounced one changes its state after `alert_hold_s` seconds."""

    name: str
    is_severe: bool
    title: str
    sentence: str
    evaluate: RuleFunction
    is_debounced: bool = True


def _redis_down(facts: SystemFacts, _settings: Settings, _last: Values) -> RuleResult:
    redis = facts.redis
    return RuleResult(redis.is_configured and not redis.is_used, {"reason": redis.reason})


def _memory(facts: SystemFacts, settings: Settings, _last: Values) -> RuleResult:
    redis = facts.redis
    if not redis.is_used:
        return RuleResult(None, {})
    percent = 100 * redis.used_memory / redis.max_memory if redis.max_memory else 0
    return RuleResult(percent > settings.alert_memory_percent, {"percent": round(percent)})


def _hit_rate(facts: SystemFacts, settings: Settings, last: Values) -> RuleResult:
    """Judge the look-ups since the last result, once there are enough of them."""
    hits = facts.cache_hits - int(last.get("hits", 0))
    misses = facts.cache_misses - int(last.get("misses", 0))
    seen: dict[str, Any] = {"hits": facts.cache_hits, "misses": facts.cache_misses}
    wanted = round(settings.alert_hit_rate_percent)
    if hits < 0 or misses < 0 or not last:  # the counters were reset, or this is the first time
        return RuleResult(None, seen)
    if not facts.redis.is_used or hits + misses < MIN_LOOKUPS:
        return RuleResult(_is_hit_rate_low(last, settings), last)
    rate = round(100 * hits / (hits + misses), 1)
    values = seen | {"rate": rate, "wanted": wanted}
    return RuleResult(_is_hit_rate_low(values, settings), values)


def _is_hit_rate_low(values: Values, settings: Settings) -> bool | None:
    return float(values["rate"]) < settings.alert_hit_rate_percent if "rate" in values else None


def _connections(facts: SystemFacts, settings: Settings, _last: Values) -> RuleResult:
    if not facts.redis.is_used:
        return RuleResult(None, {})
    number = facts.redis.clients
    return RuleResult(number > settings.alert_connections, {"number": number})


def _evictions(facts: SystemFacts, _settings: Settings, last: Values) -> RuleResult:
    """Alert on evictions. The queue's keys are on the same Redis and may be evicted too."""
    if not facts.redis.is_used:
        return RuleResult(None, {})
    now = facts.redis.evicted_keys
    number = max(0, now - int(last.get("evicted", now)))
    latest = facts.at if number else float(last.get("latest", 0))
    values = {
        "evicted": now,
        "latest": latest,
        "number": number or last.get("number", 0),
        "policy": facts.redis.eviction_policy,
    }
    return RuleResult(facts.at - latest < EVICTIONS_QUIET_S, values)


def _stuck_queues(facts: SystemFacts, settings: Settings, _last: Values) -> RuleResult:
    late = {
        name: backlog.age_s
        for name, backlog in facts.backlogs.items()
        if backlog.age_s > settings.alert_queue_age_s or not backlog.is_moving
    }
    minutes = round(max(late.values(), default=0) / 60)
    return RuleResult(bool(late), {"queues": ", ".join(late), "minutes": minutes})


def _missing_workers(facts: SystemFacts, _settings: Settings, _last: Values) -> RuleResult:
    missing = [name for name in (*QUEUES, "scheduler") if not facts.workers.get(name)]
    return RuleResult(bool(missing), {"queues": ", ".join(missing)})


def _webhook_backlog(facts: SystemFacts, settings: Settings, _last: Values) -> RuleResult:
    queues = (facts.backlogs.get(name) for name in ("inbound", "statuses"))
    number = sum(queue.count for queue in queues if queue)
    return RuleResult(number > settings.alert_webhook_backlog, {"number": number})


def _double_acceptances(facts: SystemFacts, _settings: Settings, _last: Values) -> RuleResult:
    return RuleResult(facts.double_acceptances > 0, {"number": facts.double_acceptances})


RULES = (
    AlertRule(
        "redis_down",
        True,
        N_("Redis is down"),
        N_(
            "Prosa keeps working without it: slower, but nothing is lost. `flask redis "
            "doctor` shows what is wrong. Reason: %(reason)s"
        ),
        _redis_down,
    ),
    AlertRule(
        "redis_memory",
        True,
        N_("Redis is almost out of memory"),
        N_(
            "%(percent)s %% of its maxmemory is in use. Raise maxmemory, or run `flask redis "
            "keys` to see what fills it."
        ),
        _memory,
    ),
    AlertRule(
        "redis_hit_rate",
        False,
        N_("The cache hit rate is low"),
        N_(
            "%(rate)s %% of the latest lookups were hits; the target is %(wanted)s %%. Redis "
            "may be too small, or may have been emptied."
        ),
        _hit_rate,
    ),
    AlertRule(
        "redis_connections",
        False,
        N_("Redis has too many connections"),
        N_(
            "%(number)s are open. The Redis page shows who holds them. Lower "
            "REDIS_CONNECTIONS or the number of processes."
        ),
        _connections,
    ),
    AlertRule(
        "redis_evictions",
        True,
        N_("Redis evicts keys while it holds the queue"),
        N_(
            "%(number)s keys were evicted because memory ran out (policy: %(policy)s). Raise "
            "maxmemory, and set maxmemory-policy to volatile-ttl, which spares the queue."
        ),
        _evictions,
        is_debounced=False,
    ),
    AlertRule(
        "queue_stuck",
        True,
        N_("Jobs are waiting and not moving"),
        N_(
            "Queues: %(queues)s; the oldest has waited %(minutes)s minutes. Check that their "
            "workers run, and what they log."
        ),
        _stuck_queues,
    ),
    AlertRule(
        "no_worker",
        True,
        N_("Workers are missing"),
        N_(
            "No worker is running for: %(queues)s. Start `python -m workers.run QUEUE` for "
            "each, or `python -m workers.scheduler`."
        ),
        _missing_workers,
    ),
    AlertRule(
        "webhook_backlog",
        False,
        N_("Webhooks are piling up"),
        N_(
            "%(number)s are waiting to be applied. Start more workers for the queues inbound "
            "and statuses."
        ),
        _webhook_backlog,
    ),
    AlertRule(
        "double_acceptance",
        True,
        N_("A message was accepted twice"),
        N_(
            "In the last 24 hours WhatsApp accepted %(number)s messages a second time: their "
            "recipients received them twice. See double_acceptances in the database, and the "
            "workers' log of that time."
        ),
        _double_acceptances,
        is_debounced=False,
    ),
)
RULES_BY_NAME = {rule.name: rule for rule in RULES}
