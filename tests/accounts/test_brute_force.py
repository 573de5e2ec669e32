"""Limits on failed sign-ins under eight concurrent processes."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask

from chatbot.accounts.models import FailedSignIn
from chatbot.accounts.sign_in_limits import MAX_FAILURES, MAX_FAILURES_OF_STRANGERS
from chatbot.core.db import db
from tests.support.fork_server import run_module
from tests.support.panel import make_user
from tests.support.redis_server import RedisServer
from tests.support.settings import environment

PROCESSES, TIMES = 8, 4


def run_guessers(home: Path, database: str, redis: str, guesses: list[str]) -> Counter[str]:
    """Run the processes and count the statuses of their answers."""
    env = {"PATH": os.environ["PATH"], **environment(home, DATABASE_URL=database, REDIS_URL=redis)}
    code, output, errors = run_module(
        "tests.accounts.password_guesser", str(TIMES), *guesses, environment=env
    )
    assert code == 0, errors
    return Counter(output.split())


@pytest.mark.parametrize("redis_is", ["up", "killed"])
@pytest.mark.parametrize(
    ("same", "allowed"), [("account", MAX_FAILURES_OF_STRANGERS), ("network", MAX_FAILURES)]
)
def test_exactly_so_many_failures_are_allowed(
    any_app: Flask,
    database_url: str,
    tmp_path: Path,
    redis_server: RedisServer,
    redis_is: str,
    same: str,
    allowed: int,
) -> None:
    make_user("Ana")
    db.session.rollback()
    if redis_is == "killed":
        redis_server.kill()
    account, address = "ana@prosa.example", "10.0.0.1"
    guesses = [
        f"{account}@10.0.0.{n}" if same == "account" else f"nobody{n}@prosa.example@{address}"
        for n in range(PROCESSES)
    ]
    answers = run_guessers(tmp_path, database_url, redis_server.url, guesses)
    assert answers == {"401": allowed, "429": PROCESSES * TIMES - allowed}
    assert db.session.scalar(sa.select(sa.func.count()).select_from(FailedSignIn)) == allowed
