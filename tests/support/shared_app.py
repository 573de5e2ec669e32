"""One application per test process and database, reset between tests instead of made anew."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from flask import Flask

from chatbot import create_app
from chatbot.core import log
from chatbot.core.cache import stats
from chatbot.core.db import db, mark_request_writable
from chatbot.extensions import get_settings
from tests.support.settings import make_settings


class SharedApp:
    """An application that is made at its first use and kept while tests leave it as it was.

    A test that takes Redis away or adds routes leaves state in places that are not reset here. The next
    test then gets a new application.
    """

    def __init__(self, home: Path, database_url: str, redis_url: str) -> None:
        self._settings = make_settings(home, DATABASE_URL=database_url, REDIS_URL=redis_url)
        self._app: Flask | None = None

    def run(self) -> Iterator[Flask]:
        """Yield the application inside its context, and reset it afterwards."""
        app = self._app or self._make()
        self._app = None  # until this test has left it fit for the next one
        log.configure_logging(get_settings(app))
        stats._counts.clear()
        mark_request_writable()  # a page of the last test may have made the context read-only
        changeable: tuple[dict[str, Any], ...] = (app.config, app.extensions, app.view_functions)
        before = [dict(found) for found in changeable]
        rules = _count_rules(app)
        with app.app_context():
            yield app
            db.session.rollback()
            db.engine.dispose()
        for changed, values in zip(changeable, before, strict=True):
            changed.clear()
            changed.update(values)
        current_settings = app.extensions["prosa_current_settings"]
        current_settings.stored = {}
        current_settings.forget()
        current_settings._apply()
        metrics = app.extensions["prosa_metrics"]
        metrics.stop()
        pool = app.extensions["prosa_redis"].pool
        pool.disconnect()
        if pool.breaker.trips or _count_rules(app) != rules:
            # A probe that outlives the test must not open the engine again when Redis is back.
            pool.breaker.on_recovery.clear()
            return
        metrics._counts.reset_after_fork()
        metrics.reset_after_fork()
        metrics.role = "web"
        self._app = app

    def _make(self) -> Flask:
        app = create_app(self._settings)
        app.config.update(TESTING=True, WTF_CSRF_ENABLED=False)
        return app


def _count_rules(app: Flask) -> int:
    return sum(1 for _ in app.url_map.iter_rules())
