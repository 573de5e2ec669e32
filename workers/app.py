"""The application as a worker needs it."""

from __future__ import annotations

from dataclasses import replace

from flask import Flask

import config
from chatbot import create_app

# Nobody looks at a page meanwhile, so the threads of a worker can wait for each other a little.
POOL_WAIT_S = 1.0


def create_worker_app() -> Flask:
    """With one Redis connection, which its threads use in turns: small Redis servers allow few.

    Raises:
        ConfigError: a setting is missing or wrong.
    """
    app = create_app(replace(config.load(), redis_connections=1))
    app.extensions["prosa_redis"].pool.timeout = POOL_WAIT_S
    return app
