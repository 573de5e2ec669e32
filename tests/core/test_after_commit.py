from __future__ import annotations

import sqlalchemy as sa
from flask import Flask

from chatbot.core.after_commit import run_after_commit, run_redis_after_commit
from chatbot.core.db import db
from tests.support.redis_server import RedisServer


def begin() -> None:
    db.session.execute(sa.text("SELECT 1"))


def test_an_action_waits_for_the_commit(any_app: Flask) -> None:
    seen: list[str] = []
    begin()
    run_after_commit(lambda: seen.append("done"), key="a")
    assert seen == []
    db.session.commit()
    assert seen == ["done"]
    db.session.commit()
    assert seen == ["done"]


def test_a_rollback_drops_the_action(any_app: Flask, redis_server: RedisServer) -> None:
    seen: list[str] = []
    begin()
    run_after_commit(lambda: seen.append("done"), key="a")
    run_redis_after_commit(lambda pipe: pipe.set("rolled-back", 1, ex=5), key="b")
    db.session.rollback()
    begin()
    db.session.commit()
    assert seen == []
    assert not redis_server.admin.exists("rolled-back")


def test_without_a_transaction_it_is_done_at_once(any_app: Flask) -> None:
    seen: list[str] = []
    run_after_commit(lambda: seen.append("done"), key="a")
    assert seen == ["done"]


def test_actions_with_one_key_run_once_and_the_last_wins(any_app: Flask) -> None:
    seen: list[int] = []
    begin()
    for number in range(3):
        run_after_commit(lambda number=number: seen.append(number), key="same")
    db.session.commit()
    assert seen == [2]


def test_the_end_of_a_savepoint_is_no_commit(any_app: Flask) -> None:
    seen: list[str] = []
    begin()
    run_after_commit(lambda: seen.append("done"), key="a")
    with db.session.begin_nested():
        begin()
    assert seen == []
    db.session.commit()
    assert seen == ["done"]


def test_redis_commands_leave_in_one_pipeline_and_an_outage_is_ignored(
    any_app: Flask, redis_server: RedisServer
) -> None:
    begin()
    run_redis_after_commit(lambda pipe: pipe.set("one", 1, ex=5), key="one")
    run_redis_after_commit(lambda pipe: pipe.set("two", 2, ex=5), key="two")
    db.session.commit()
    assert redis_server.admin.mget("one", "two") == [b"1", b"2"]
    redis_server.kill()
    begin()
    run_redis_after_commit(lambda pipe: pipe.set("three", 3, ex=5), key="three")
    db.session.commit()
