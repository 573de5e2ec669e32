from __future__ import annotations

import sqlalchemy as sa
from flask import Flask

from chatbot.core.db import db
from chatbot.core.events import after_commit, redis_after_commit
from tests.support.redis_server import RedisServer


def begin() -> None:
    db.session.execute(sa.text("SELECT 1"))


def test_an_action_waits_for_the_commit(any_app: Flask) -> None:
    seen: list[str] = []
    begin()
    after_commit(lambda: seen.append("done"), key="a")
    assert seen == []
    db.session.commit()
    assert seen == ["done"]
    db.session.commit()
    assert seen == ["done"]


def test_a_rollback_forgets_it(any_app: Flask, redis_server: RedisServer) -> None:
    seen: list[str] = []
    begin()
    after_commit(lambda: seen.append("done"), key="a")
    redis_after_commit(lambda pipe: pipe.set("rolled-back", 1, ex=5), key="b")
    db.session.rollback()
    begin()
    db.session.commit()
    assert seen == []
    assert not redis_server.admin.exists("rolled-back")


def test_without_a_transaction_it_is_done_at_once(any_app: Flask) -> None:
    seen: list[str] = []
    after_commit(lambda: seen.append("done"), key="a")
    assert seen == ["done"]


def test_of_one_key_the_last_is_done_once(any_app: Flask) -> None:
    seen: list[int] = []
    begin()
    for number in range(3):
        after_commit(lambda number=number: seen.append(number), key="same")
    db.session.commit()
    assert seen == [2]


def test_the_end_of_a_savepoint_is_no_commit(any_app: Flask) -> None:
    seen: list[str] = []
    begin()
    after_commit(lambda: seen.append("done"), key="a")
    with db.session.begin_nested():
        begin()
    assert seen == []
    db.session.commit()
    assert seen == ["done"]


def test_redis_is_told_in_one_go_and_its_absence_harms_nobody(
    any_app: Flask, redis_server: RedisServer
) -> None:
    begin()
    redis_after_commit(lambda pipe: pipe.set("one", 1, ex=5), key="one")
    redis_after_commit(lambda pipe: pipe.set("two", 2, ex=5), key="two")
    db.session.commit()
    assert redis_server.admin.mget("one", "two") == [b"1", b"2"]
    redis_server.kill()
    begin()
    redis_after_commit(lambda pipe: pipe.set("three", 3, ex=5), key="three")
    db.session.commit()
