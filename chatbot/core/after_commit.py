"""What is to happen once the present transaction has committed, and not if it rolls back."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

from redis.client import Pipeline
from redis.exceptions import RedisError, ResponseError
from sqlalchemy import event
from sqlalchemy.orm import Session, SessionTransaction, scoped_session, sessionmaker

from chatbot.core import redis as prosa_redis
from chatbot.core.db import db

_ACTIONS = "prosa_after_commit"
_COMMANDS = "prosa_redis_after_commit"

RedisCommands = Callable[[Pipeline], Any]  # queues commands on the pipeline that it is given


def run_after_commit(action: Callable[[], None], *, key: Hashable) -> None:
    """Run `action` after the session's commit; at once when no transaction is open.

    Of several actions with one `key` the last is run, once.
    """
    session = db.session
    if session.in_transaction():
        session.info.setdefault(_ACTIONS, {})[key] = action
    else:
        action()


def run_redis_after_commit(commands: RedisCommands, *, key: Hashable) -> None:
    """The same for Redis commands: all of one commit leave in one round trip, or not at all."""
    if db.session.in_transaction():
        queue_redis_after_commit(db.session, commands, key=key)
    else:
        run_redis_commands([commands])


def queue_redis_after_commit(
    session: Session | scoped_session[Session], commands: RedisCommands, *, key: Hashable
) -> None:
    """The same for a session that is in a transaction."""
    session.info.setdefault(_COMMANDS, {})[key] = commands


def init_after_commit(factory: sessionmaker[Session]) -> None:
    event.listen(factory, "after_commit", _run_queued)
    event.listen(factory, "after_soft_rollback", _discard_queued)


def _run_queued(session: Session) -> None:
    if session.in_nested_transaction():
        return  # a savepoint's end is no commit yet
    run_redis_commands(list(session.info.pop(_COMMANDS, {}).values()))
    for action in list(session.info.pop(_ACTIONS, {}).values()):
        action()


def run_redis_commands(all_commands: list[RedisCommands]) -> None:
    """Redis is told as a courtesy: when it is away, what it would have said is found in SQL.

    What it was not told may have been that a cached value is stale. So whatever kept us from telling
    counts as an outage, at whose end nothing cached before is believed.
    """
    if not all_commands:
        return
    try:
        with prosa_redis.client().pipeline(transaction=False) as pipe:
            for commands in all_commands:
                commands(pipe)
            pipe.execute()
    except ResponseError:
        return  # one command was refused, a key of the wrong type perhaps; the others were carried out
    except RedisError as error:
        prosa_redis.breaker().trip(error)


def _discard_queued(session: Session, previous: SessionTransaction) -> None:
    if previous.nested:
        return  # what was done before the savepoint may still be committed
    session.info.pop(_ACTIONS, None)
    session.info.pop(_COMMANDS, None)
