"""What is worth waking somebody for: a table of rules, each pure over the facts of one look."""

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

EVICTIONS_QUIET_S = 600  # so long without one, and they are over
MIN_LOOKUPS = 500  # a hit rate of fewer is chance


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemFacts:
    """`at` is a Unix time; `workers` counts living processes by role."""

    at: float
    redis: RedisStatus
    cache_hits: int = 0
    cache_misses: int = 0
    backlogs: Mapping[str, Backlog] = field(default_factory=dict)
    workers: Mapping[str, int] = field(default_factory=dict)
    double_acceptances: int = 0


@dataclass(frozen=True, slots=True)
class RuleResult:
    """`holds` is None where it can't be told. `values` fill the sentence, and are what the rule is
    given at its next look."""

    holds: bool | None
    values: Values


RuleFunction = Callable[[SystemFacts, Settings, Values], RuleResult]


@dataclass(frozen=True, slots=True)
class AlertRule:
    """`waits`: only what lasts is told, and that it is over only when that lasts."""

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
    """Of the look-ups since the last verdict, once they are enough."""
    hits = facts.cache_hits - int(last.get("hits", 0))
    misses = facts.cache_misses - int(last.get("misses", 0))
    seen: dict[str, Any] = {"hits": facts.cache_hits, "misses": facts.cache_misses}
    wanted = round(settings.alert_hit_rate_percent)
    if hits < 0 or misses < 0 or not last:  # counted anew, or for the first time
        return RuleResult(None, seen)
    if not facts.redis.is_used or hits + misses < MIN_LOOKUPS:
        return RuleResult(_is_hit_rate_low(last, settings), last)
    rate = round(100 * hits / (hits + misses), 1)
    verdict = seen | {"rate": rate, "wanted": wanted}
    return RuleResult(_is_hit_rate_low(verdict, settings), verdict)


def _is_hit_rate_low(values: Values, settings: Settings) -> bool | None:
    return float(values["rate"]) < settings.alert_hit_rate_percent if "rate" in values else None


def _connections(facts: SystemFacts, settings: Settings, _last: Values) -> RuleResult:
    if not facts.redis.is_used:
        return RuleResult(None, {})
    number = facts.redis.clients
    return RuleResult(number > settings.alert_connections, {"number": number})


def _evictions(facts: SystemFacts, _settings: Settings, last: Values) -> RuleResult:
    """The queue's keys are always on this Redis: there is but one."""
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
        N_("Redis is away"),
        N_(
            "Prosa goes on without it: slower, and nothing is lost. `flask redis doctor` "
            "says what is wrong. Reason: %(reason)s"
        ),
        _redis_down,
    ),
    AlertRule(
        "redis_memory",
        True,
        N_("Redis's memory is nearly full"),
        N_(
            "%(percent)s %% of its maxmemory is in use. Raise maxmemory, or see with "
            "`flask redis keys` what fills it."
        ),
        _memory,
    ),
    AlertRule(
        "redis_hit_rate",
        False,
        N_("The cache answers too seldom"),
        N_(
            "%(rate)s %% of the latest look-ups were hits, and %(wanted)s %% are wanted: "
            "Redis may be too small, or have been emptied."
        ),
        _hit_rate,
    ),
    AlertRule(
        "redis_connections",
        False,
        N_("Redis has very many connections"),
        N_(
            "%(number)s are open. See on the Redis page whose they are; lower "
            "REDIS_CONNECTIONS or the number of processes."
        ),
        _connections,
    ),
    AlertRule(
        "redis_evictions",
        True,
        N_("Redis throws keys out while the queue is on it"),
        N_(
            "%(number)s keys were thrown out for want of memory (policy: %(policy)s). "
            "Raise maxmemory, and set maxmemory-policy to volatile-ttl, which spares the "
            "queue."
        ),
        _evictions,
        is_debounced=False,
    ),
    AlertRule(
        "queue_stuck",
        True,
        N_("Work waits and does not move"),
        N_(
            "Queues: %(queues)s; the oldest has waited %(minutes)s minutes. See that their "
            "workers run, and what they log."
        ),
        _stuck_queues,
    ),
    AlertRule(
        "no_worker",
        True,
        N_("Workers are missing"),
        N_(
            "Nobody works on: %(queues)s. Start `python -m workers.run QUEUE` for each, or "
            "`python -m workers.scheduler`."
        ),
        _missing_workers,
    ),
    AlertRule(
        "webhook_backlog",
        False,
        N_("Webhooks pile up"),
        N_("%(number)s wait to be applied. Start more workers of the queues inbound and statuses."),
        _webhook_backlog,
    ),
    AlertRule(
        "double_acceptance",
        True,
        N_("A message was accepted twice"),
        N_(
            "In the last 24 hours WhatsApp accepted %(number)s messages a second time: "
            "their recipients got them twice. See double_acceptances in the database, and "
            "the workers' log of that time."
        ),
        _double_acceptances,
        is_debounced=False,
    ),
)
RULES_BY_NAME = {rule.name: rule for rule in RULES}
