"""Evaluation of the alert rules, once for all processes; the state of each alert is kept in SQL.

Changes are sent afterwards (`chatbot.ops.notifications`). If a process dies between sending and recording
that it sent, the next one sends again: at least once rather than at most once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from flask import current_app
from flask_babel import gettext as _

from chatbot.core import clock
from chatbot.core.cache import CacheEntry, CacheSpec
from chatbot.core.db import advisory_lock, db, db_now, read_only, upsert
from chatbot.core.live_events import LiveEventKind as EventKind
from chatbot.core.live_events import publish_now
from chatbot.core.metrics import count_live_processes
from chatbot.extensions import cache, get_settings
from chatbot.ops.alert_rules import RULES, RULES_BY_NAME, RuleResult, SystemFacts
from chatbot.ops.backlog import count_double_acceptances, measure_backlogs
from chatbot.ops.cache_stats import get_cache_stats
from chatbot.ops.models import ALERTS_TAG, Alert, AlertState
from chatbot.ops.redis_status import get_redis_status

log = logging.getLogger(__name__)

LEASE_S = 120.0  # for an evaluation and its notifications; then another process may take over

FiringAlert = tuple[str, dict[str, Any], str | None]  # name, values, since (ISO 8601)

Notifier = Callable[["AlertNotice"], bool]


@dataclass(frozen=True, slots=True)
class AlertNotice:
    """An alert in the reader's language. `since` is when it began to fire, or ended."""

    name: str
    is_firing: bool
    is_severe: bool
    title: str
    sentence: str
    since: datetime | None


def evaluate_alerts(notify: Notifier) -> bool:
    """Evaluate the rules and notify, unless another process did so lately. Return whether this one did."""
    every_s = get_settings(current_app).alert_every_s
    if not is_evaluation_due() or not _claim_evaluation():
        return False
    try:
        update_alerts(collect_facts())
        _send_pending_notifications(notify)
    finally:
        with db.engine.begin() as connection:
            connection.execute(sa.update(Alert).values(due_at=db_now(every_s)))
    return True


def is_evaluation_due() -> bool:
    """Return whether an evaluation is due in any process."""
    known = sa.select(sa.func.count()).where(Alert.due_at > db_now(), Alert.name.in_(RULES_BY_NAME))
    with read_only(), db.engine.connect() as connection:
        return connection.scalar(known) != len(RULES)


def _claim_evaluation() -> bool:
    """Take the lease of an evaluation. Return False if another process has it or did it lately."""
    with db.engine.begin() as connection:
        advisory_lock(connection, "ops.alerts")
        connection.execute(
            upsert(connection, Alert).on_conflict_do_nothing(),
            [{"name": rule.name, "values": {}} for rule in RULES],
        )
        due = sa.or_(Alert.due_at.is_(None), Alert.due_at <= db_now())
        claim = sa.update(Alert).where(due).values(due_at=db_now(LEASE_S))
        return connection.execute(claim).rowcount > 0


def collect_facts() -> SystemFacts:
    """Collect the facts with a few statements and round trips to Redis (none while the breaker is open)."""
    stats = get_cache_stats()
    return SystemFacts(
        at=clock.now().timestamp(),
        redis=get_redis_status(),
        cache_hits=stats["hits"],
        cache_misses=stats["misses"],
        backlogs=measure_backlogs(),
        workers=count_live_processes(db.engine),
        double_acceptances=count_double_acceptances(),
    )


def update_alerts(facts: SystemFacts) -> None:
    """Evaluate every rule and update its alert. Publish a live event if one changed its state."""
    settings = get_settings(current_app)
    has_changed = False
    with db.sessionmaker.begin() as session:
        for alert in session.scalars(sa.select(Alert).order_by(Alert.name)):
            rule = RULES_BY_NAME.get(alert.name)
            if rule is None:  # the rule no longer exists
                session.delete(alert)
                continue
            result = rule.evaluate(facts, settings, alert.values)
            hold_s = settings.alert_hold_s if rule.is_debounced else 0
            has_changed |= apply_result(alert, result, clock.now(), hold_s)
    if has_changed:
        publish_now(EventKind.HEALTH, [None])


def apply_result(alert: Alert, result: RuleResult, now: datetime, hold_s: float) -> bool:
    """Change the state if the result has differed from it for `hold_s` seconds. Return whether it changed."""
    if result.values:
        alert.values = dict(result.values)
    if result.holds is None:
        return False
    wanted = AlertState.FIRING if result.holds else AlertState.QUIET
    if wanted == alert.state:
        alert.pending_since = None
        return False
    alert.pending_since = alert.pending_since or now
    if now - alert.pending_since < timedelta(seconds=hold_s):
        return False
    alert.state, alert.changed_at, alert.pending_since = wanted, now, None
    log.warning("alert %s: %s", alert.name, wanted)
    return True


def _send_pending_notifications(notify: Notifier) -> None:
    """Send the changes not sent yet. Those that can't be sent are retried at the next evaluation."""
    pending = sa.select(Alert).where(Alert.notified_state != Alert.state).order_by(Alert.name)
    with read_only(), db.sessionmaker() as session:
        alerts = list(session.scalars(pending))
        session.expunge_all()
    for alert in alerts:
        if notify(_render_notice(alert.name, alert.state, alert.values, alert.changed_at)):
            with db.engine.begin() as connection:
                notified = (
                    sa.update(Alert)
                    .where(Alert.name == alert.name)
                    .values(notified_state=alert.state)
                )
                connection.execute(notified)


def list_firing_alerts() -> list[AlertNotice]:
    """Return the firing alerts, severe ones first; cached for a few seconds."""
    return render_notices(cache.get_or_compute(FIRING_ALERTS))


def render_notices(found: list[FiringAlert]) -> list[AlertNotice]:
    """Render the value of FIRING_ALERTS in the reader's language, without rules that no longer exist."""
    notices = [
        _render_notice(
            name, AlertState.FIRING, values, datetime.fromisoformat(since) if since else None
        )
        for name, values, since in found
        if name in RULES_BY_NAME
    ]
    return sorted(notices, key=lambda notice: not notice.is_severe)


def _select_firing() -> list[FiringAlert]:
    query = sa.select(Alert.name, Alert.values, Alert.changed_at)
    query = query.where(Alert.state == AlertState.FIRING).order_by(Alert.changed_at)
    with read_only(), db.engine.connect() as connection:
        return [
            (name, values, changed_at.isoformat() if changed_at else None)
            for name, values, changed_at in connection.execute(query)
        ]


FIRING_ALERTS: CacheEntry[list[FiringAlert]] = CacheEntry(
    CacheSpec("alerts", list[FiringAlert], fresh_s=5, stale_s=5),
    "firing",
    _select_firing,
    (ALERTS_TAG,),
)


def _render_notice(
    name: str, state: str, values: dict[str, Any], since: datetime | None
) -> AlertNotice:
    rule = RULES_BY_NAME[name]
    is_firing = state == AlertState.FIRING
    sentence = _(rule.sentence, **values) if is_firing else _("It has ended.")
    return AlertNotice(name, is_firing, rule.is_severe, _(rule.title), sentence, since)
