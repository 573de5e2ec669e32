"""Measure each use of Redis during each fault of Redis: `python -m benchmarks.faults`.

A real Redis gets each fault of `tests.support.redis_faults` below an application in this process. The
features are those of `tests.support.redis_degradation`, whose assertions are checked meanwhile.
"""

from __future__ import annotations

import logging
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from flask import Flask

from chatbot import create_app
from chatbot.core import redis as prosa_redis
from chatbot.core.db import db
from chatbot.extensions import alembic
from tests.support.ports import wait_for
from tests.support.redis_degradation import FEATURES, RedisFeature, Scenario
from tests.support.redis_faults import FAULTS, RedisFault
from tests.support.redis_server import RedisServer
from tests.support.settings import make_settings


@contextmanager
def running_app(server: RedisServer) -> Iterator[Flask]:
    home = Path(tempfile.mkdtemp(prefix="prosa-faults-"))
    url = f"sqlite:///{home / 'prosa.db'}"
    app = create_app(make_settings(home, DATABASE_URL=url, REDIS_URL=server.url, WEB_CONCURRENCY=2))
    app.config.update(TESTING=True, WTF_CSRF_ENABLED=False)
    with app.app_context():
        alembic.upgrade()
        yield app
        db.session.rollback()


@dataclass(frozen=True, slots=True)
class FeatureOutcome:
    """Outcome in a few words, and the 95th percentile of the times in milliseconds."""

    happened: str
    p95_ms: float


def measure_feature(feature: RedisFeature, scenario: Scenario) -> FeatureOutcome:
    scenario.times_s.clear()
    happened = feature.during()
    times = scenario.times_s
    p95_s = statistics.quantiles(times, n=20)[-1] if len(times) > 1 else times[0]
    return FeatureOutcome(happened, 1000 * min(p95_s, max(times)))


def measure_fault(fault: RedisFault) -> list[FeatureOutcome]:
    """Return the outcome of each feature, and check that each works again after the repair."""
    server = RedisServer()
    server.start()
    try:
        with running_app(server) as app:
            scenario, breaker = Scenario(app), prosa_redis.breaker()
            features = [feature(scenario) for feature in FEATURES]
            for feature in features:
                feature.prepare()
            fault.inject(server)
            found = [measure_feature(feature, scenario) for feature in features]
            fault.repair(server)
            wait_for(lambda: not breaker.is_open, 10)
            for feature in features:
                feature.after()
            return found
    finally:
        server.thaw()
        server.kill()


def render_table(columns: dict[str, list[FeatureOutcome]]) -> str:
    """Render a Markdown table with a line per feature.

    A cell names the outcome if it differs from that of the first fault.
    """
    lines = [
        ["use", "what happened", *(f"{name}: p95 ms" for name in columns)],
        ["---"] * (2 + len(columns)),
    ]
    for number, feature in enumerate(FEATURES):
        row = [outcomes[number] for outcomes in columns.values()]
        usual = row[0].happened
        cells = [
            f"{cell.p95_ms:.0f}"
            if cell.happened == usual
            else f"{cell.happened}: {cell.p95_ms:.0f}"
            for cell in row
        ]
        lines.append([feature.name, usual, *cells])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> int:
    logging.disable(logging.WARNING)
    print("Each use of Redis during each fault: the outcome and the 95th percentile of its times\n")
    print(render_table({fault.name: measure_fault(fault) for fault in FAULTS}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
