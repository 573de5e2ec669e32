"""Ring by name: the one table of bells, and how one is rung.

The row is the truth and the bell is only a bell: work is found by a query, and a bell that is lost,
doubled or late changes nothing but the delay. A *loop* bell wakes a long-lived worker that drains what
is due; a *job* bell is an RQ job. The table is the allow-list of what a worker may run: a job in Redis
names a bell, never a function.
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
from chatbot.core.events import after_commit, redis_after_commit
from chatbot.core.redis import key, ttl

log = logging.getLogger(__name__)

RESULT_TTL_S = 600
FAILURE_TTL_S = 86_400


@dataclass(frozen=True, slots=True)
class Bell:
    """What a bell does.

    `function` is `module:name`. In a loop it takes nothing, does one batch of what is due and returns
    the seconds after which it wants to be called again (0: at once; None: at the next bell).
    For a job, `due` (`module:name`) lists the argument tuples for which there is work now.
    """

    queue: str
    function: str
    due: str | None = None
    timeout_s: int = 120

    @property
    def is_loop(self) -> bool:
        return self.due is None


BELLS: dict[str, Bell] = {
    "webhooks.messages": Bell("inbound", "chatbot.webhooks.jobs:drain_messages"),
    "bot.turns": Bell("inbound", "chatbot.bot.jobs:take_turns"),
    "webhooks.statuses": Bell("statuses", "chatbot.webhooks.jobs:drain_statuses"),
    "conversations.deliver": Bell("replies", "chatbot.conversations.jobs:deliver"),
    # A queue of its own: a file of 100 MB must not hold up a reply or an import.
    "media.transfer": Bell("media", "chatbot.conversations.transfers:transfer"),
    "campaigns.send": Bell(
        "campaigns",
        "chatbot.campaigns.jobs:send",
        due="chatbot.campaigns.jobs:channels_due",
        timeout_s=180,
    ),
    "campaigns.launch": Bell(
        "maintenance",
        "chatbot.campaigns.jobs:launch",
        due="chatbot.campaigns.jobs:launches_due",
    ),
    "campaigns.settle": Bell(
        "maintenance", "chatbot.campaigns.jobs:settle", due="chatbot.campaigns.jobs:settle_due"
    ),
    "conversations.settle": Bell(
        "maintenance",
        "chatbot.conversations.jobs:settle",
        due="chatbot.conversations.jobs:settle_due",
    ),
    "contacts.import": Bell(
        "maintenance",
        "chatbot.contacts.jobs:run_imports",
        due="chatbot.contacts.jobs:imports_due",
        timeout_s=900,
    ),
    "templates.sync": Bell(
        "maintenance",
        "chatbot.message_templates.jobs:sync",
        due="chatbot.message_templates.jobs:sync_due",
    ),
    "ops.watch": Bell("maintenance", "chatbot.ops.jobs:watch", due="chatbot.ops.jobs:watch_due"),
    "core.clean": Bell(
        "maintenance", "chatbot.webhooks.jobs:clean", due="chatbot.webhooks.jobs:clean_due"
    ),
}
QUEUES = tuple(dict.fromkeys(bell.queue for bell in BELLS.values()))


def resolve(path: str) -> Any:
    """The function that `module:name` of the table names."""
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)


def bells_of(queue: str) -> dict[str, Bell]:
    return {name: bell for name, bell in BELLS.items() if bell.queue == queue}


def ring(name: str, *args: Any) -> None:
    """Ring after the present transaction commits; one bell of a kind, however often it is rung.

    Without Redis nobody hears it, and the workers find the work by themselves.
    """
    bell = BELLS[name]
    if bell.is_loop:
        redis_after_commit(partial(ring_loop, queue=bell.queue), key=("ring", bell.queue))
    else:
        after_commit(lambda: ring_job(name, *args), key=("ring", name, args))


def ring_loop(pipe: redis.client.Pipeline, queue: str) -> None:
    """Queue a loop's bell on a pipeline. One waiting bell is enough, so the list is cut to one."""
    name = key("bell", queue)
    pipe.lpush(name, "1")
    pipe.ltrim(name, 0, 0)
    pipe.expire(name, ttl("bell"))


def ring_job(name: str, *args: Any) -> None:
    """Ring a job's bell at once."""
    try:
        _ring_job(prosa_redis.client(), name, BELLS[name], args)
    except RedisError as error:
        log.debug("bell %s not rung: %s", name, error)


def _ring_job(client: redis.Redis, name: str, bell: Bell, args: tuple[Any, ...]) -> None:
    """Enqueue unless the same is waiting already; the mark is taken away when the job begins."""
    if client.set(rung_key(name, args), "1", nx=True, ex=ttl("rung")):
        rq_queue(client, bell.queue).enqueue_call(
            name,
            args=args,
            timeout=bell.timeout_s,
            result_ttl=RESULT_TTL_S,
            failure_ttl=FAILURE_TTL_S,
        )


def rung_key(name: str, args: Iterable[Any]) -> str:
    return key("rung", name, *args)


def rq_queue(client: redis.Redis, name: str) -> Queue:
    return Queue(name, connection=client, serializer=JSONSerializer, job_class=BellJob)


class BellJob(Job):
    """An RQ job whose function name is a bell of the table, and nothing else."""

    def restore(self, raw_data: Any) -> Any:
        restored = super().restore(raw_data)
        # RQ would import and call whatever these name.
        self._success_callback_name = None
        self._failure_callback_name = None
        self._stopped_callback_name = None
        return restored

    def _execute(self) -> None:
        name = str(self.func_name)
        bell = BELLS.get(name)
        if bell is None or bell.is_loop:
            raise PermissionError(f"no bell of this name: {name[:80]!r}")
        args = tuple(self.args)
        self.connection.delete(rung_key(name, args))
        resolve(bell.function)(*args)
