"""Scheduler process: `python -m workers.scheduler`. Two of them do no harm, since tasks are deduplicated."""

from __future__ import annotations

import logging
import sys
import threading
import time

from flask import Flask
from sqlalchemy.exc import DBAPIError

from chatbot.core import metrics
from chatbot.core.db import db
from chatbot.core.tasks import TASKS, enqueue_job, load_function
from config import ConfigError
from workers.app import create_worker_app
from workers.run import StopSignal, poll_due
from workers.schedule import ENQUEUE_EVERY_S, RUN_IN_SCHEDULER_EVERY_S

log = logging.getLogger("workers.scheduler")


def enqueue_due(last_run: dict[str, float], now: float) -> None:
    """Enqueue the tasks that are due at `now` (monotonic seconds), and update `last_run`."""
    for name, every_s in ENQUEUE_EVERY_S.items():
        if now - last_run.get(name, -every_s) < every_s:
            continue
        last_run[name] = now
        try:
            for args in load_function(TASKS[name].due_function or "")():
                enqueue_job(name, *args)
        except DBAPIError as error:
            log.warning("the database does not answer: %s", error)
        except Exception:  # one failing query must not stop the other tasks
            log.exception("finding work of %s failed", name)
        finally:
            db.session.rollback()


def run_in_scheduler(app: Flask, stop: StopSignal) -> None:
    """Run the scheduler's own tasks in a thread, since they may wait for network services."""
    last_run: dict[str, float] = {}
    with app.app_context():
        while not stop.is_set:
            for name, every_s in RUN_IN_SCHEDULER_EVERY_S.items():
                if time.monotonic() - last_run.get(name, -every_s) >= every_s:
                    last_run[name] = time.monotonic()
                    poll_due({name: TASKS[name]})
            time.sleep(0.5)


def main() -> int:
    try:
        app = create_worker_app()
    except ConfigError as error:
        print(f"Prosa can't start: {error}", file=sys.stderr)
        return 1
    stop = StopSignal()
    last_run: dict[str, float] = {}
    with app.app_context(), metrics.reporting_as("scheduler"):
        threading.Thread(target=run_in_scheduler, args=(app, stop), daemon=True).start()
        while not stop.is_set:
            enqueue_due(last_run, time.monotonic())
            time.sleep(0.5)
    return 0


if __name__ == "__main__":
    sys.exit(main())
