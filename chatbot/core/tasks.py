"""Enqueue by name: the one table of tasks.

The database row is the truth and the queue only wakes a worker: work is found by a query, so a task that
is lost, doubled or late changes nothing but the delay. A loop task wakes a long-lived worker that drains
what is due; the others are RQ jobs. The table is also the allow-list of what a worker may run: a job in
Redis names a task, never a function.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any

import redis
from redis.exceptions import RedisError
from rq import Queue
from rq.job import Job
from rq.serializers import JSONSerializer

from chatbot.core import redis as prosa_redis
from chatbot.core.after_commit import run_after_commit, run_redis_after_commit
from chatbot.core.redis import key, ttl

log = logging.getLogger(__name__)

RESULT_TTL_S = 600
FAILURE_TTL_S = 86_400


@dataclass(frozen=True, slots=True)
class Task:
    """Queue and functions of a task; both functions are `module:name`.

    In a loop, `function` takes no argument, processes one batch and returns the seconds after which to
    call it again (0: at once; None: when woken). For a job, `due_function` returns the argument tuples for
    which there is work now.
    """

    queue: str
    function: str
    due_function: str | None = None
    timeout_s: int = 120

    @property
    def is_loop(self) -> bool:
        return self.due_function is None


TASKS: dict[str, Task] = {
    "webhooks.messages": Task("inbound", "chatbot.webhooks.tasks:drain_messages"),
    "bot.take_turns": Task("inbound", "chatbot.bot.tasks:run_turns"),
    "webhooks.statuses": Task("statuses", "chatbot.webhooks.tasks:drain_statuses"),
    "conversations.deliver": Task("replies", "chatbot.conversations.tasks:deliver_replies"),
    # A queue of its own: a file of 100 MB must not hold up a reply or an import.
    "media.transfer": Task("media", "chatbot.media_transfers.tasks:transfer_media"),
    "campaigns.send": Task(
        "campaigns",
        "chatbot.campaigns.tasks:send_due_messages",
        due_function="chatbot.campaigns.tasks:list_due_channels",
        timeout_s=180,
    ),
    "campaigns.start_scheduled": Task(
        "maintenance",
        "chatbot.campaigns.tasks:start_scheduled_campaign",
        due_function="chatbot.campaigns.tasks:list_due_campaigns",
    ),
    "campaigns.sweep": Task(
        "maintenance",
        "chatbot.campaigns.tasks:reconcile_campaigns",
        due_function="chatbot.campaigns.tasks:list_due_reconciliations",
    ),
    "conversations.sweep": Task(
        "maintenance",
        "chatbot.conversations.tasks:sweep_replies",
        due_function="chatbot.conversations.tasks:list_due_sweeps",
    ),
    "contacts.import": Task(
        "maintenance",
        "chatbot.contacts.imports.tasks:run_imports",
        due_function="chatbot.contacts.imports.tasks:list_due_imports",
        timeout_s=900,
    ),
    "templates.sync": Task(
        "maintenance",
        "chatbot.message_templates.tasks:sync",
        due_function="chatbot.message_templates.tasks:sync_due",
    ),
    "ops.check_alerts": Task(
        "maintenance",
        "chatbot.ops.tasks:check_alerts",
        due_function="chatbot.ops.tasks:list_due_alert_checks",
    ),
    "ops.delete_expired": Task(
        "maintenance",
        "chatbot.ops.housekeeping:delete_expired",
        due_function="chatbot.ops.housekeeping:list_due_deletions",
    ),
    "webhooks.delete_expired": Task(
        "maintenance",
        "chatbot.webhooks.tasks:delete_expired",
        due_function="chatbot.webhooks.tasks:list_due_deletions",
    ),
}
QUEUES = tuple(dict.fromkeys(task.queue for task in TASKS.values()))


def load_function(path: str) -> Any:
    """Import the function that `module:name` in the table names."""
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)


def list_tasks(queue: str) -> dict[str, Task]:
    return {name: task for name, task in TASKS.items() if task.queue == queue}


def enqueue(name: str, *args: Any) -> None:
    """Enqueue after the open transaction commits; the same task is enqueued once.

    Without Redis nothing is enqueued, and the workers find the work by polling SQL.
    """
    task = TASKS[name]
    if task.is_loop:
        run_redis_after_commit(partial(queue_wakeup, queue=task.queue), key=("enqueue", task.queue))
    else:
        run_after_commit(lambda: enqueue_job(name, *args), key=("enqueue", name, args))


def queue_wakeup(pipe: redis.client.Pipeline, queue: str) -> None:
    """Queue a wake-up of a loop on a pipeline. One is enough, so the list is trimmed to one item."""
    name = key("wakeup", queue)
    pipe.lpush(name, "1")
    pipe.ltrim(name, 0, 0)
    pipe.expire(name, ttl("wakeup"))


def enqueue_job(name: str, *args: Any) -> None:
    """Enqueue a job at once; do nothing while Redis is away."""
    try:
        _enqueue_job(prosa_redis.client(), name, TASKS[name], args)
    except RedisError as error:
        log.debug("task %s not enqueued: %s", name, error)


def _enqueue_job(client: redis.Redis, name: str, task: Task, args: tuple[Any, ...]) -> None:
    """Enqueue unless the same job is waiting; its dedupe key is deleted when it starts."""
    if client.set(dedupe_key(name, args), "1", nx=True, ex=ttl("dedupe")):
        get_rq_queue(client, task.queue).enqueue_call(
            name,
            args=args,
            timeout=task.timeout_s,
            result_ttl=RESULT_TTL_S,
            failure_ttl=FAILURE_TTL_S,
        )


def dedupe_key(name: str, args: Iterable[Any]) -> str:
    return key("dedupe", name, *args)


def get_rq_queue(client: redis.Redis, name: str) -> Queue:
    return Queue(name, connection=client, serializer=JSONSerializer, job_class=TaskJob)


class TaskJob(Job):
    """RQ job whose function name must be a task of the table."""

    def restore(self, raw_data: Any) -> Any:
        restored = super().restore(raw_data)
        # RQ would import and call any function that these name.
        self._success_callback_name = None
        self._failure_callback_name = None
        self._stopped_callback_name = None
        return restored

    def _execute(self) -> None:
        name = str(self.func_name)
        task = TASKS.get(name)
        if task is None or task.is_loop:
            raise PermissionError(f"no task of this name: {name[:80]!r}")
        args = tuple(self.args)
        self.connection.delete(dedupe_key(name, args))
        # RQ's connection and ours are open in turns, never together: small Redis servers allow few.
        self.connection.connection_pool.disconnect()
        try:
            load_function(task.function)(*args)
        finally:
            prosa_redis.state().pool.disconnect()
