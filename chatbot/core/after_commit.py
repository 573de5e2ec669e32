"""Actions and Redis commands to run after the commit of the open transaction, never after a rollback."""

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

RedisCommands = Callable[[Pipeline], Any]  # queues commands on a pipeline


def run_after_commit(action: Callable[[], None], *, key: Hashable) -> None:
    """Run `action` after the session's commit; at once when no transaction is open.

    Of several actions with the same `key` only the last runs.
    """
    session = db.session
    if session.in_transaction():
        session.info.setdefault(_ACTIONS, {})[key] = action
    else:
        action()


def run_redis_after_commit(commands: RedisCommands, *, key: Hashable) -> None:
    """Run Redis commands after the session's commit: all those of one commit in one round trip."""
    if db.session.in_transaction():
        queue_redis_after_commit(db.session, commands, key=key)
    else:
        run_redis_commands([commands])


def queue_redis_after_commit(
    session: Session | scoped_session[Session], commands: RedisCommands, *, key: Hashable
) -> None:
    """Queue Redis commands on a session that is in a transaction."""
    session.info.setdefault(_COMMANDS, {})[key] = commands


def init_after_commit(factory: sessionmaker[Session]) -> None:
    event.listen(factory, "after_commit", _run_queued)
    event.listen(factory, "after_soft_rollback", _discard_queued)


def _run_queued(session: Session) -> None:
    if session.in_nested_transaction():
        return  # the end of a savepoint is no commit
    run_redis_commands(list(session.info.pop(_COMMANDS, {}).values()))
    for action in list(session.info.pop(_ACTIONS, {}).values()):
        action()


def run_redis_commands(all_commands: list[RedisCommands]) -> None:
    """Run the commands in one round trip. Do nothing while Redis is away: SQL has the truth.

    One of the lost commands may have invalidated a cached value. So any failure trips the breaker, whose
    recovery starts a new cache epoch.
    """
    if not all_commands:
        return
    try:
        with prosa_redis.client().pipeline(transaction=False) as pipe:
            for commands in all_commands:
                commands(pipe)
            pipe.execute()
    except ResponseError:
        return  # one command was refused, perhaps for a key of the wrong type; the others have run
    except RedisError as error:
        prosa_redis.breaker().trip(error)


def _discard_queued(session: Session, previous: SessionTransaction) -> None:
    if previous.nested:
        return  # the work before the savepoint may still be committed
    session.info.pop(_ACTIONS, None)
    session.info.pop(_COMMANDS, None)
