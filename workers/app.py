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
    """Create the application with one Redis connection for all threads: small servers allow few.

    Raises:
        ConfigError: a setting is missing or wrong.
        SystemExit: the database has not our schema; a sentence that says the fix was printed.
    """
    app = create_app(replace(config.load(), redis_connections=1))
    app.extensions["prosa_redis"].pool.timeout = POOL_WAIT_S
    exit_without_schema(app)
    return app
