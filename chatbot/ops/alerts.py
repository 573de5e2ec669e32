"""Looks at the facts now and then, and keeps in SQL which alerts fire: one look over all processes.

What changed is told afterwards, by `telling`. A process that dies between telling and noting that it
told makes the next one tell again: once too often rather than never.
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
from chatbot.core.cache import Entry, Kind, get_or_compute
from chatbot.core.db import db, db_now, reading, serialize, upsert
from chatbot.core.hints import Kind as Hint
from chatbot.core.hints import publish_committed
from chatbot.core.metrics import count_living
from chatbot.extensions import settings_of
from chatbot.ops.alert_rules import RULE, RULES, Facts, Verdict
from chatbot.ops.cache_stats import cache_stats
from chatbot.ops.models import ALERTS, Alert, AlertState
from chatbot.ops.redis_facts import redis_facts
from chatbot.ops.work import count_doubles, measure_backlogs

log = logging.getLogger(__name__)

LEASE_S = 120.0  # the longest that a look and its telling may take, before another process looks

Fired = tuple[str, dict[str, Any], str | None]  # name, values, since (ISO 8601)

Tell = Callable[["Notice"], bool]


@dataclass(frozen=True, slots=True)
class Notice:
    """An alert in the reader's words. `since` is when it began to fire, or was over."""

    name: str
    is_firing: bool
    is_severe: bool
    title: str
    sentence: str
    since: datetime | None


def look(tell: Tell) -> bool:
    """Look, unless another process did so lately; whether we did."""
    every_s = settings_of(current_app).alert_every_s
    if not is_due() or not _take_turn():
        return False
    try:
        note(gather_facts())
        _tell_news(tell)
    finally:
        with db.engine.begin() as connection:
            connection.execute(sa.update(Alert).values(due_at=db_now(every_s)))
    return True


def is_due() -> bool:
    """Whether somebody should look now."""
    known = sa.select(sa.func.count()).where(Alert.due_at > db_now(), Alert.name.in_(RULE))
    with reading(), db.engine.connect() as connection:
        return connection.scalar(known) != len(RULES)


def _take_turn() -> bool:
    """Put the next look off for everybody else; False where another process was faster."""
    with db.engine.begin() as connection:
        serialize(connection, "ops.alerts")
        connection.execute(
            upsert(connection, Alert).on_conflict_do_nothing(),
            [{"name": rule.name, "values": {}} for rule in RULES],
        )
        due = sa.or_(Alert.due_at.is_(None), Alert.due_at <= db_now())
        taken = sa.update(Alert).where(due).values(due_at=db_now(LEASE_S))
        return connection.execute(taken).rowcount > 0


def gather_facts() -> Facts:
    """A round trip or two to Redis, none while the breaker is open, and some statements of SQL."""
    stats = cache_stats()
    return Facts(
        at=clock.now().timestamp(),
        redis=redis_facts(),
        cache_hits=stats["hits"],
        cache_misses=stats["misses"],
        backlogs=measure_backlogs(),
        workers=count_living(db.engine),
        doubles=count_doubles(),
    )


def note(facts: Facts) -> None:
    """Judge by every rule and move its alert; open pages are told when one changes."""
    settings = settings_of(current_app)
    has_changed = False
    with db.sessionmaker.begin() as session:
        for alert in session.scalars(sa.select(Alert).order_by(Alert.name)):
            rule = RULE.get(alert.name)
            if rule is None:  # of a rule that is no more
                session.delete(alert)
                continue
            verdict = rule.judge(facts, settings, alert.values)
            hold_s = settings.alert_hold_s if rule.waits else 0
            has_changed |= move(alert, verdict, clock.now(), hold_s)
    if has_changed:
        publish_committed(Hint.HEALTH, [None])


def move(alert: Alert, verdict: Verdict, now: datetime, hold_s: float) -> bool:
    """Change the state once the facts have spoken against it for `hold_s` seconds; whether it did."""
    if verdict.values:
        alert.values = dict(verdict.values)
    if verdict.holds is None:
        return False
    wanted = AlertState.FIRING if verdict.holds else AlertState.QUIET
    if wanted == alert.state:
        alert.turning_since = None
        return False
    alert.turning_since = alert.turning_since or now
    if now - alert.turning_since < timedelta(seconds=hold_s):
        return False
    alert.state, alert.changed_at, alert.turning_since = wanted, now, None
    log.warning("alert %s: %s", alert.name, wanted)
    return True


def _tell_news(tell: Tell) -> None:
    """What nobody could be told is tried again at the next look."""
    news = sa.select(Alert).where(Alert.told != Alert.state).order_by(Alert.name)
    with reading(), db.sessionmaker() as session:
        alerts = list(session.scalars(news))
        session.expunge_all()
    for alert in alerts:
        if tell(_notice(alert.name, alert.state, alert.values, alert.changed_at)):
            with db.engine.begin() as connection:
                told = sa.update(Alert).where(Alert.name == alert.name).values(told=alert.state)
                connection.execute(told)


def firing() -> list[Notice]:
    """What is wrong now, the worst first; cached for some seconds."""
    return notices_of(get_or_compute(FIRING))


def notices_of(found: list[Fired]) -> list[Notice]:
    """What `FIRING` holds, in the reader's words; rules that are gone are left out."""
    notices = [
        _notice(name, AlertState.FIRING, values, datetime.fromisoformat(since) if since else None)
        for name, values, since in found
        if name in RULE
    ]
    return sorted(notices, key=lambda notice: not notice.is_severe)


def _read_firing() -> list[Fired]:
    query = sa.select(Alert.name, Alert.values, Alert.changed_at)
    query = query.where(Alert.state == AlertState.FIRING).order_by(Alert.changed_at)
    with reading(), db.engine.connect() as connection:
        return [
            (name, values, changed_at.isoformat() if changed_at else None)
            for name, values, changed_at in connection.execute(query)
        ]


FIRING: Entry[list[Fired]] = Entry(
    Kind("alerts", list[Fired], fresh_s=5, stale_s=5), "firing", _read_firing, (ALERTS,)
)


def _notice(name: str, state: str, values: dict[str, Any], since: datetime | None) -> Notice:
    rule = RULE[name]
    is_firing = state == AlertState.FIRING
    sentence = _(rule.sentence, **values) if is_firing else _("It is over.")
    return Notice(name, is_firing, rule.is_severe, _(rule.title), sentence, since)
