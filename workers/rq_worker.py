"""RQ worker: JSON jobs that name a task, run in forked children, one queue per worker."""

from __future__ import annotations

import gc
import logging
import os
import secrets
import signal
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from flask import Flask
from redis.exceptions import RedisError
from rq import Worker
from rq.exceptions import StopRequested
from rq.serializers import JSONSerializer
from rq.worker import WorkerStatus

from chatbot.core import metrics
from chatbot.core import redis as prosa_redis
from chatbot.core.redis import create_blocking_client
from chatbot.core.tasks import TaskJob, get_rq_queue
from workers.parent_death import die_with_parent

log = logging.getLogger(__name__)

WORKER_TTL_S = 45
MAINTENANCE_INTERVAL_S = 30
DEQUEUE_TIMEOUT_S = 5  # the longest wait of one command, so that a hang is noticed soon
TIMEOUT_MARGIN_S = 2


class RedisLost(StopRequested):
    """Raised to end RQ's loop without ending the worker around it."""


class TaskWorker(Worker):
    """RQ worker that runs each job in a forked child with the application's context."""

    job_class = TaskJob
    # RQ doubles its wait after each failure, up to a minute: Redis would be back long before.
    max_connection_wait_time = 1.0
    app: Flask
    on_stop: Callable[[], None]

    @property
    def dequeue_timeout(self) -> int:
        return DEQUEUE_TIMEOUT_S

    @property
    def connection_timeout(self) -> int:
        return DEQUEUE_TIMEOUT_S + TIMEOUT_MARGIN_S

    def subscribe(self) -> None:
        """Do not subscribe to RQ's command channel.

        Anyone who can write to Redis could stop workers by it, and it costs a connection and a thread.
        """

    def teardown(self) -> None:
        """Deregister, unless Redis is away: that would only wait for a timeout."""
        if not prosa_redis.breaker().is_open:
            super().teardown()

    def request_stop(self, signum: Any, frame: Any) -> None:
        """Pass the signal on to the surrounding loop, and to the job, which then claims no more."""
        self.on_stop()
        if self.horse_pid:
            with suppress(ProcessLookupError):
                os.kill(self.horse_pid, signal.SIGTERM)
        super().request_stop(signum, frame)

    def perform_job(self, *args: Any) -> bool:
        die_with_parent()
        gc.freeze()  # objects from before the fork need no garbage collection in the child
        with self.app.app_context(), metrics.reporting_as("job"):
            return bool(super().perform_job(*args))

    def heartbeat(self, *args: Any, **kwargs: Any) -> None:
        """End RQ's loop when Redis is away and no job runs, so that the worker polls SQL instead."""
        try:
            super().heartbeat(*args, **kwargs)
        except RedisError as error:
            if self.get_state() == WorkerStatus.IDLE:
                raise RedisLost from error
            raise


def run_rq_worker(app: Flask, queue: str, *, idle_s: float, on_stop: Callable[[], None]) -> None:
    """Process the queue until it has been idle for `idle_s` seconds, or Redis is away."""
    state, breaker = prosa_redis.state(), prosa_redis.breaker()
    if state.url is None:
        return
    # RQ has a connection of its own; ours would only be idle.
    state.pool.disconnect(inuse_connections=False)
    client = create_blocking_client(
        state.url, f"rq-{queue}", timeout_s=DEQUEUE_TIMEOUT_S + TIMEOUT_MARGIN_S, breaker=breaker
    )
    signals = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        worker = TaskWorker(
            [get_rq_queue(client, queue)],
            connection=client,
            # Its connection is listed under this name, which RQ requires to be unique.
            name=f"prosa-rq-{queue}-{secrets.token_hex(4)}",
            serializer=JSONSerializer,
            worker_ttl=WORKER_TTL_S,
            maintenance_interval=MAINTENANCE_INTERVAL_S,
        )
        worker.app, worker.on_stop = app, on_stop
        worker.work(max_idle_time=max(1, round(idle_s)), logging_level="WARNING")
    except RedisError as error:
        # Most errors have tripped it already; the others (a key of the wrong type) must not spin either.
        breaker.trip(error)
    except RedisLost:
        return
    except StopRequested:
        on_stop()  # the signal came before or after RQ's loop
    finally:
        for number, handler in signals.items():
            signal.signal(number, handler)
        client.connection_pool.disconnect()
