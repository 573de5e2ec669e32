"""Application factory of worker processes."""

from __future__ import annotations

from dataclasses import replace

from flask import Flask

import config
from chatbot import create_app
from chatbot.schema_check import exit_without_schema

# No user waits for a page, so the threads of a worker can wait longer for the connection.
POOL_WAIT_S = 1.0


def create_worker_app() -> Flask:
    """Create the application with few connections to Redis and PostgreSQL: small servers allow few.

    One connection to PostgreSQL stays open. A second thread opens another for as long as it needs it.

    Raises:
        ConfigError: a setting is missing or wrong.
        SystemExit: the database has not our schema; a sentence that says the fix was printed.
    """
    settings = replace(
        config.load(), redis_connections=1, database_connections=3, database_idle_connections=1
    )
    app = create_app(settings)
    app.extensions["prosa_redis"].pool.timeout = POOL_WAIT_S
    exit_without_schema(app)
    return app
