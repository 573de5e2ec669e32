"""Worker process of one queue: `python -m workers.run QUEUE`.

With Redis, a loop worker waits to be woken and a job worker runs RQ; without it, both poll SQL. Both also
poll now and then with Redis: a wake-up may be lost, work may not.
"""

from __future__ import annotations

import logging
import signal
import sys
import time
from collections.abc import Callable
from types import FrameType

from flask import Flask
from redis.exceptions import RedisError
from sqlalchemy.exc import DBAPIError

from chatbot.core import metrics
from chatbot.core import redis as prosa_redis
from chatbot.core.db import db
from chatbot.core.redis import TIMEOUT_S, key
from chatbot.core.tasks import QUEUES, TASKS, Task, list_tasks, load_function
from config import ConfigError
from workers.app import create_worker_app
from workers.rq_worker import run_rq_worker

log = logging.getLogger("workers.run")

MAX_WAIT_S = 1.0  # the longest that a loop waits to be woken
POLL_INTERVAL_S = TIMEOUT_S / 2  # the longest wait of one command
SQL_POLL_INTERVAL_S = 5.0  # how often a job worker polls SQL
ERROR_PAUSE_S = 1.0


class StopSignal:
    """Flag set by SIGTERM and SIGINT: the worker finishes its current work, then exits."""

    def __init__(self) -> None:
        self.is_set = False
        signal.signal(signal.SIGTERM, self._handle_signal)
        signal.signal(signal.SIGINT, self._handle_signal)

    def set(self) -> None:
        self.is_set = True

    def _handle_signal(self, _signal: int, _frame: FrameType | None) -> None:
        self.set()


def wait_for_wakeup(queue: str, seconds: float) -> None:
    """Wait for a wake-up of the queue, at most `seconds`; without Redis just wait.

    Each wait is shorter than the timeout of the shared pool, so that a loop needs no second connection and
    notices a hanging Redis as soon as any other use.
    """
    until = time.monotonic() + seconds
    try:
        while (left_s := until - time.monotonic()) > 0:
            if prosa_redis.client().brpop(
                [key("wakeup", queue)], timeout=min(left_s, POLL_INTERVAL_S)
            ):
                return
    except RedisError:
        time.sleep(min(max(0.0, until - time.monotonic()), MAX_WAIT_S / 2))


def run_loop(_app: Flask, queue: str, stop: StopSignal) -> None:
    """Call the queue's functions until none has more work, then wait to be woken; repeat."""
    functions = [load_function(task.function) for task in list_tasks(queue).values()]
    while not stop.is_set:
        waits = [_run_batch(function) for function in functions]
        wait_s = min((w for w in waits if w is not None), default=MAX_WAIT_S)
        if wait_s > 0 and not stop.is_set:
            wait_for_wakeup(queue, min(wait_s, MAX_WAIT_S))


def _run_batch(function: Callable[[], float | None]) -> float | None:
    """Run one batch; an error pauses the loop and never ends it."""
    try:
        return function()
    except DBAPIError as error:
        log.warning("the database does not answer: %s", error)
        return ERROR_PAUSE_S
    except Exception:  # the loop must survive any error of a batch
        log.exception("%s failed", function.__name__)
        return ERROR_PAUSE_S
    finally:
        db.session.rollback()
        db.session.expunge_all()


def run_jobs(app: Flask, queue: str, stop: StopSignal) -> None:
    """Run RQ until it is idle, then poll SQL; repeat."""
    tasks = list_tasks(queue)
    while not stop.is_set:
        if not prosa_redis.breaker().is_open:
            prosa_redis.state().pool.disconnect()  # RQ and its job child process have their own
            run_rq_worker(app, queue, idle_s=SQL_POLL_INTERVAL_S, on_stop=stop.set)
        else:
            time.sleep(0.5)
        if not stop.is_set:
            poll_due(tasks)


def poll_due(tasks: dict[str, Task]) -> None:
    """Run here the work that is due, since its job may have been lost."""
    for name, task in tasks.items():
        try:
            for args in load_function(task.due_function or "")():
                load_function(task.function)(*args)
        except DBAPIError as error:
            log.warning("the database does not answer: %s", error)
            time.sleep(ERROR_PAUSE_S)
        except Exception:  # the other tasks must not wait until this one is fixed
            log.exception("%s failed", name)
        finally:
            db.session.rollback()


def main(arguments: list[str]) -> int:
    if len(arguments) != 1 or arguments[0] not in QUEUES:
        print(f"usage: python -m workers.run {{{','.join(QUEUES)}}}", file=sys.stderr)
        return 2
    queue = arguments[0]
    try:
        app = create_worker_app()
    except ConfigError as error:
        print(f"Prosa can't start: {error}", file=sys.stderr)
        return 1
    stop = StopSignal()
    is_loop = next(iter(list_tasks(queue).values())).is_loop
    log.info("worker of %s: %s", queue, ", ".join(n for n, b in TASKS.items() if b.queue == queue))
    with app.app_context(), metrics.reporting_as(queue):
        (run_loop if is_loop else run_jobs)(app, queue, stop)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
